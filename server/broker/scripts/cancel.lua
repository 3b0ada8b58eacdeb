-- Ask a job to end. One that has not started ends at once; a running one is told through its worker.
-- ARGV: id
-- Answers {'gone'}, {'ended', record} or {'ok', record}, packed.
local job = load(ARGV[1])
if not job then return cmsgpack.pack({'gone'}) end
if has_ended(job) then return cmsgpack.pack({'ended', record(job)}) end
write_even_when_full()
local now, was = now_ms(), job.state
if was == 'queued' then
  local pair = pair_of(job)
  call('ZREM', P .. 'ready:' .. pair, job.id)
  if call('EXISTS', P .. 'ready:' .. pair) == 0 then call('SREM', P .. 'ready', pair) end
  terminate(job, 'cancelled', now, {})
elseif was == 'scheduled' then
  call('ZREM', P .. 'scheduled', job.id)
  terminate(job, 'cancelled', now, {})
elseif was == 'running' then
  step(job, 'cancelling', now, {})
end
if job.state == 'cancelling' then
  call('PUBLISH', P .. 'worker:' .. job.worker, cmsgpack.pack({'cancel', job.id}))
end
local rec = record(job, was)
if was ~= job.state then publish({{rec, false, false, false}}) end
return cmsgpack.pack({'ok', rec})
