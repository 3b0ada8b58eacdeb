-- Forget an ended job.
-- ARGV: id
-- Answers 'gone', 'running' (it has not ended; nothing was done) or 'ok'.
local id = ARGV[1]
local job = load(id)
if not job then return 'gone' end
if job.state ~= 'succeeded' and job.state ~= 'failed' and job.state ~= 'cancelled' then return 'running' end
write_even_when_full()
local rec = record(id, job.state)
rec[3] = 'gone'
forget(id, job)
publish({{rec, false, false, false}})
return 'ok'
