-- What both scripts begin with: answers several questions at one moment. KEYS[1]: what all keys begin with.
local base = KEYS[1]

-- The clock of the server, in microseconds.
local function time()
  local parts = redis.call('TIME')
  return parts[1] * 1000000 + parts[2]
end

-- A server that was demoted answers from what it has, which may be old, and never says so. What only a primary takes is
-- tried before anything is told that no change goes with; it changes nothing. The error to answer, or nil.
local function demoted()
  local tried = redis.pcall('DEL', base .. 'nothing')
  if type(tried) == 'table' and string.find(tried.err or '', 'READONLY', 1, true) then
    return redis.error_reply('READONLY it is a replica now')
  end
end

-- questions: each a list of its name and its arguments. Nothing is made ready before there is something to answer.
local function answer(questions)
  local refusal = demoted()
  if refusal then return refusal end

  local function hash(key)
    return redis.call('HGETALL', base .. key)
  end

  -- A challenge with what is about its phone: failures in a row, vendor slots, and when it last verified.
  local function person(id)
    local doc = hash('ch:' .. id)
    for j = 1, #doc, 2 do
      if doc[j] == 'p' then
        local phone = doc[j + 1]
        return { id, doc, phone, hash('fl:' .. phone), hash('sl:' .. phone), hash('vf:' .. phone) }
      end
    end
    return { id, doc }
  end

  local function top(key)
    return redis.call('ZREVRANGE', base .. key, 0, 0)[1]
  end

  local function doc_of(member)
    return hash('ch:' .. string.match(member, '^%S+'))
  end

  -- Members of an index in a range, each with the challenge that its first word names.
  local function docs(key, min, max, offset, count)
    local found = redis.call('ZRANGEBYSCORE', base .. key, min, max, 'LIMIT', offset, count)
    local answer = {}
    for j, member in ipairs(found) do
      answer[j] = { member, doc_of(member) }
    end
    return answer
  end

  -- Records of the trail, by their numbers and actions; the text of one that has expired is empty.
  local function trail(shared, members)
    local answer = {}
    for j, member in ipairs(members) do
      local number, action = string.match(member, '^(%d+) (.*)$')
      answer[j] = { number, action, redis.call('GET', shared .. 'au:' .. number) or '' }
    end
    return answer
  end

  local answers = {
    time = time,
    hash = hash,
    person = person,
    latest = function(subject)
      local id = top('sj:' .. subject)
      return id and person(id) or {}
    end,
    owner = function(delivery)
      local id = redis.call('GET', base .. 'dl:' .. delivery)
      return id and person(id) or {}
    end,
    referred = function(reference)
      local delivery = top('rd:' .. reference)
      if not delivery then return {} end
      local id = redis.call('GET', base .. 'dl:' .. delivery)
      return { delivery, id and person(id) or {} }
    end,
    members = function(key) return redis.call('SMEMBERS', base .. key) end,
    ranked = function(key, from, to) return redis.call('ZRANGE', base .. key, from, to, 'WITHSCORES') end,
    after = function(key, member, count)
      local from = member == '' and '-' or '(' .. member
      return redis.call('ZRANGEBYLEX', base .. key, from, '+', 'LIMIT', 0, count)
    end,
    newest = function(key, count) return redis.call('ZREVRANGE', base .. key, 0, tonumber(count) - 1) end,
    scored = function(key, min, max, offset, count)
      return redis.call('ZRANGEBYSCORE', base .. key, min, max, 'WITHSCORES', 'LIMIT', offset, count)
    end,
    docs = docs,
    trail = function(shared, index, below, count)
      local most = '(' .. below
      return trail(shared, redis.call('ZREVRANGEBYSCORE', shared .. index, most, '-inf', 'LIMIT', 0, count))
    end,
    oldest = function(shared, index, count)
      return trail(shared, redis.call('ZRANGE', shared .. index, 0, tonumber(count) - 1))
    end,
    -- Those that are about a phone.
    about = function(shared, phone)
      local answer = {}
      for j, number in ipairs(redis.call('SMEMBERS', shared .. 'ap:' .. phone)) do
        answer[j] = { number, redis.call('GET', shared .. 'au:' .. number) or '' }
      end
      return answer
    end,
    some = function(key, ...)
      local found = redis.call('HMGET', base .. key, ...)
      for j = 1, select('#', ...) do found[j] = found[j] or '' end
      return found
    end,
    -- Fields of a hash that an index names in a range.
    fields = function(key, index, min, max, count)
      local found = redis.call('ZRANGEBYSCORE', base .. index, min, max, 'LIMIT', 0, count)
      local answer = {}
      for j, name in ipairs(found) do
        answer[j] = { name, redis.call('HGET', base .. key, name) or '' }
      end
      return answer
    end,
    -- From the latest back, each with its score.
    docs_back = function(key, max, min, offset, count)
      local found = redis.call('ZREVRANGEBYSCORE', base .. key, max, min, 'WITHSCORES', 'LIMIT', offset, count)
      local answer = {}
      for j = 1, #found, 2 do
        answer[#answer + 1] = { found[j], found[j + 1], doc_of(found[j]) }
      end
      return answer
    end,
    score_back = function(key, max, min, offset)
      return redis.call('ZREVRANGEBYSCORE', base .. key, max, min, 'WITHSCORES', 'LIMIT', offset, 1)[2] or ''
    end,
    -- What is due; "now" is the server's clock.
    due = function(now, count)
      if now == 'now' then now = time() end
      return docs('due', '-inf', string.format('%.0f', now), 0, count)
    end,
  }

  local replies = {}
  for i, question in ipairs(questions) do
    replies[i] = answers[question[1]](unpack(question, 2))
  end
  return replies
end
