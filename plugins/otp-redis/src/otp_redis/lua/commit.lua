-- Checks all guards of a unit of work, then applies all that it changes; or changes nothing. answers.lua goes before this.
-- ARGV[1], as JSON: the id of this commit, the milliseconds that it is remembered, the unit's clock in microseconds, the
-- guards, the changes, and the questions, each a list of its name and its arguments, all of them text.
-- Answers with one text of 1, the time, and what the changes have to tell, in their order, as a client reads that in one go;
-- or with a list of 0, the time and, where there are any, the answers to the questions. A commit whose answer was lost is
-- sent again; it is known by its id, not applied twice, and answered by 1 alone.
local id, remembered, clock, all_guards, all_changes, questions = unpack(cjson.decode(ARGV[1]))
local done, now = base .. 'done:' .. id, tonumber(clock)
if redis.call('EXISTS', done) == 1 then return '1' end

local function whole(number)
  return string.format('%.0f', number)
end

-- A counter is "count:end of its window". One that is not there, or is over, counts nothing and has no end.
local function counter(key, field)
  local raw = redis.call('HGET', base .. key, field)
  if not raw then return 0, '' end
  local count, ends = string.match(raw, '^(%d+):(%d+)$')
  if tonumber(ends) <= now then return 0, '' end
  return tonumber(count), ends
end

local function keep(key, milliseconds)
  if redis.call('PTTL', base .. key) < tonumber(milliseconds) then
    redis.call('PEXPIRE', base .. key, milliseconds)
  end
end

-- A window of a budget is "used:verified:base:end".
local function budget(raw)
  return string.match(raw or '0:0:0:', '^(%d+):(%d+):(%d+):(%d*)$')
end

local function within(text, least, most)
  local number = tonumber(text)
  return number >= tonumber(least) and number <= tonumber(most)
end

local guards = {
  field = function(key, field, expected) return (redis.call('HGET', base .. key, field) or '') == expected end,
  size = function(key, expected) return redis.call('HLEN', base .. key) == tonumber(expected) end,
  top = function(key, expected) return (redis.call('ZREVRANGE', base .. key, 0, 0)[1] or '') == expected end,
  -- What a unit decided upon a counter stays right as long as its count lies within bounds.
  tally = function(key, field, ends, least, most)
    local count, current = counter(key, field)
    return current == ends and within(count, least, most)
  end,
  -- The same for a budget.
  budget = function(key, field, base_then, ends, least_used, most_used, least_verified, most_verified)
    local used, verified, base_now, current = budget(redis.call('HGET', base .. key, field))
    return base_now == base_then and current == ends and within(used, least_used, most_used)
      and within(verified, least_verified, most_verified)
  end,
  -- A hash is still the same, as far as its fields and their texts go.
  same = function(key, ...)
    if redis.call('HLEN', base .. key) * 2 ~= select('#', ...) then return false end
    for j = 1, select('#', ...), 2 do
      if redis.call('HGET', base .. key, (select(j, ...))) ~= (select(j + 1, ...)) then return false end
    end
    return true
  end,
  -- It has not been on its way for so long that its caller may have given up.
  soon = function(latest) return time() <= tonumber(latest) end,
  -- A unit that guessed the time was right, or a little late.
  clock = function(early, late)
    local ahead = time() - now
    return ahead >= -tonumber(early) and ahead <= tonumber(late)
  end,
}

local changes = {
  call = function(command, key, ...) redis.call(command, base .. key, ...) end,
  keep = function(...)
    for j = 1, select('#', ...), 2 do keep(select(j, ...), (select(j + 1, ...))) end
  end,
  rank = function(key, member) redis.call('ZADD', base .. key, redis.call('INCR', base .. 'seq'), member) end,
  number = function(key, field, value)
    local number = redis.call('INCR', base .. 'seq')
    redis.call('HSET', base .. key, field, whole(number) .. ':' .. value)
    return whole(number)
  end,
  -- A change of a challenge, for the outbox.
  note = function(value, due)
    local id = whole(redis.call('INCR', base .. 'seq'))
    redis.call('HSET', base .. 'changes', id, value)
    redis.call('ZADD', base .. 'ix:changes:due', due, id)
    redis.call('ZADD', base .. 'ix:changes:happened', due, id)
  end,
  -- Count in a window, which begins anew where none is under way.
  tally = function(key, field, delta, new_end, milliseconds)
    local count, ends = counter(key, field)
    local is_new = ends == ''
    if is_new then
      ends = new_end
      redis.call('ZADD', base .. 'ix:counters', ends, string.match(key, '^ct:(.*)$') .. field)
    end
    local value = whole(math.max(count + tonumber(delta), 0)) .. ':' .. ends
    redis.call('HSET', base .. key, field, value)
    if is_new then keep(key, milliseconds) end
    return value
  end,
  -- A row waits for a breaker no more; what nobody waits for is named no more.
  unwait = function(name, member)
    redis.call('ZREM', base .. 'wf:' .. name, member)
    if redis.call('EXISTS', base .. 'wf:' .. name) == 0 then redis.call('SREM', base .. 'ix:waits', name) end
  end,
  -- The trail of operators is one for all worlds, under what the keys of the real one begin with.
  audit = function(shared, action, milliseconds, text, about)
    local number = whole(redis.call('INCR', shared .. 'seq:audit'))
    redis.call('SET', shared .. 'au:' .. number, text, 'PX', milliseconds)
    local member = number .. ' ' .. action
    redis.call('ZADD', shared .. 'ix:audit', number, member)
    redis.call('ZADD', shared .. 'ix:audit:' .. action, number, member)
    if about ~= '' then
      local of_phone = shared .. 'ap:' .. about
      redis.call('SADD', of_phone, number)
      if redis.call('PTTL', of_phone) < tonumber(milliseconds) then redis.call('PEXPIRE', of_phone, milliseconds) end
    end
  end,
  -- A record of the trail that was about a phone says nothing of it any more.
  blank = function(shared, number, text, about)
    redis.call('SET', shared .. 'au:' .. number, text, 'XX', 'KEEPTTL')
    redis.call('SREM', shared .. 'ap:' .. about, number)
  end,
  unaudit = function(shared, action, number, about)
    redis.call('DEL', shared .. 'au:' .. number)
    local member = number .. ' ' .. action
    redis.call('ZREM', shared .. 'ix:audit', member)
    redis.call('ZREM', shared .. 'ix:audit:' .. action, member)
    if about ~= '' then redis.call('SREM', shared .. 'ap:' .. about, number) end
  end,
  refund = function(key, field, ends)
    local raw = redis.call('HGET', base .. key, field)
    local count, current = string.match(raw or '', '^(%d+):(%d+)$')
    if current == ends and tonumber(count) > 0 then
      redis.call('HSET', base .. key, field, whole(tonumber(count) - 1) .. ':' .. ends)
    end
  end,
  -- A counter whose window has ended goes.
  uncount = function(key, field)
    local _, ends = counter(key, field)
    if ends == '' then
      redis.call('HDEL', base .. key, field)
      redis.call('ZREM', base .. 'ix:counters', string.match(key, '^ct:(.*)$') .. field)
    end
  end,
  budget = function(key, field, used, verified, new_end)
    local old_used, old_verified, roll, ends = budget(redis.call('HGET', base .. key, field))
    if ends == '' or tonumber(ends) <= now then
      roll = math.max(tonumber(old_verified), math.floor(tonumber(roll) / 2))
      old_used, old_verified, ends = 0, 0, new_end
    end
    local more = { math.max(tonumber(old_used) + tonumber(used), 0), tonumber(old_verified) + tonumber(verified) }
    local value = whole(more[1]) .. ':' .. whole(more[2]) .. ':' .. whole(tonumber(roll)) .. ':' .. ends
    redis.call('HSET', base .. key, field, value)
    redis.call('SADD', base .. 'ix:budgets', string.match(key, '^bd:(.*)$'))
    return value
  end,
}

for _, guard in ipairs(all_guards) do
  if not guards[guard[1]](unpack(guard, 2)) then
    if #questions == 0 then return { 0, time() } end
    local found = answer(questions)
    return found.err and found or { 0, time(), found }
  end
end
local told = { '1', whole(time()) }
if #all_changes == 0 then return demoted() or table.concat(told, ' ') end
for _, change in ipairs(all_changes) do
  told[#told + 1] = changes[change[1]](unpack(change, 2))
end
redis.call('SET', done, '1', 'PX', remembered)
return table.concat(told, ' ')
