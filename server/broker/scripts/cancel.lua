-- Ask a job to end, and with it those below it. One that has not started ends at once; a running one is told through its
-- worker.
-- ARGV: id
-- Answers {'gone'}, {'ended', record} or {'ok', record, of how many jobs children are left to `fell`}, packed.
local job = load(ARGV[1])
if not job then return cmsgpack.pack({'gone'}) end
if has_ended(job) then return cmsgpack.pack({'ended', record(job)}) end
write_even_when_full()
local was = ask_to_end(job, now_ms())
publish(was ~= job.state and {{record(job, was), false, false, false}} or {})
local left = job.tree and call('SCARD', P .. 'felling') or 0
return cmsgpack.pack({'ok', record(job.tree and load(job.id) or job, was), left})
