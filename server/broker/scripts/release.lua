-- Give back a job that its worker does not hold: the answer to its claim was lost. Uses up no attempt.
-- ARGV: worker, id
local id = ARGV[2]
local job = load(id)
if not job or job.worker ~= ARGV[1] or (job.state ~= 'running' and job.state ~= 'cancelling') then
  call('SREM', P .. 'leased:' .. ARGV[1], id)
  return 'gone'
end
write_even_when_full()
local now, was = now_ms(), nil
if job.state == 'cancelling' then
  was = terminate(id, job, 'cancelled', now)
else
  was = requeue(id, job, now, job.used)
  wake(job)
end
publish({{record(id, was), false, false, false}})
return 'ok'
