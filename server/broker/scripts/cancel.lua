-- Ask a job to end. One that has not started ends at once; a running one is told through its worker.
-- ARGV: id
-- Answers {'gone'}, {'ended', record} or {'ok', record}, packed.
local id = ARGV[1]
local now = now_ms()
local job = load(id)
if not job then return cmsgpack.pack({'gone'}) end
if job.state == 'succeeded' or job.state == 'failed' or job.state == 'cancelled' then
  return cmsgpack.pack({'ended', record(id)})
end
write_even_when_full()
local was = job.state
if was == 'queued' or was == 'scheduled' then
  unready(id, pair_of(job.queue, job.task))
  call('ZREM', P .. 'scheduled', id)
  terminate(id, job, 'cancelled', now)
elseif was == 'running' then
  step(id, job, 'cancelling', now)
end
if job.state == 'cancelling' then
  call('PUBLISH', P .. 'worker:' .. job.worker, cmsgpack.pack({'cancel', id}))
end
local rec = record(id, was)
if was ~= job.state then publish({{rec, false, false, false}}) end
return cmsgpack.pack({'ok', rec})
