-- Keep something beside a job that is found out about an attempt of it: it goes when the job goes.
-- ARGV: id, token of the attempt, field of kept:ID, value
-- Answers 'ok', or 'fenced' (another attempt has come, or the job is gone).
if call('HGET', job_key(ARGV[1]), 'token') ~= ARGV[2] then return 'fenced' end
call('HSET', kept_key(ARGV[1]), ARGV[3], ARGV[4])
return 'ok'
