-- Answers several questions at one moment; answers.lua goes before this. ARGV[1], as JSON: the questions.
return answer(cjson.decode(ARGV[1]))
