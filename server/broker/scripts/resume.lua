-- A job has waited for its children and goes on: it needs its place under its limit again.
-- ARGV: id, token
-- Answers 'ok', 'later' (its worker is told when it has the place: place ID) or 'fenced' (not held under this token any
-- more). May be asked again.
local job = load(ARGV[1])
if not job or job.token ~= ARGV[2] or not is_held(job) then return 'fenced' end
write_even_when_full()
if not job.limit or call('SISMEMBER', P .. 'holding:' .. job.limit, job.id) == 1 then return 'ok' end
if is_full(job) then
  call('ZADD', P .. 'resuming:' .. job.limit, rank_of(job), job.id)
  return 'later'
end
call('ZREM', P .. 'resuming:' .. job.limit, job.id)
call('SADD', P .. 'holding:' .. job.limit, job.id)
return 'ok'
