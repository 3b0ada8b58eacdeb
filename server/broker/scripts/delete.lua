-- Forget an ended job.
-- ARGV: id
-- Answers 'gone', 'running' (it has not ended; nothing was done) or 'ok'.
local job = load(ARGV[1])
if not job then return 'gone' end
if not has_ended(job) then return 'running' end
write_even_when_full()
publish({forget(job)})
return 'ok'
