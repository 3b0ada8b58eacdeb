-- Ask the worker that holds a job something about it. It hears of it at once, or by its next beat if its loop is blocked.
-- ARGV: id, packed question, 'profile' gives it a number among the job's profiles
-- Answers {code, ...}: 'gone'; 'idle' and the state (no worker has it); 'ok' and the number or false.
local job = load(ARGV[1])
if not job then return {'gone'} end
if not is_held(job) then return {'idle', job.state} end
local number = ARGV[3] == 'profile' and call('HINCRBY', kept_key(job.id), 'profiles', 1)
local asked = cmsgpack.pack({job.id, ARGV[2], number})
call('RPUSH', P .. 'asked:' .. job.worker, asked)
call('PEXPIRE', P .. 'asked:' .. job.worker, 10000)
call('PUBLISH', P .. 'worker:' .. job.worker, cmsgpack.pack({'ask', asked}))
return {'ok', number}
