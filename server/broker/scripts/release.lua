-- Give back a job that its worker does not hold: the answer to its claim was lost. Uses up no attempt.
-- ARGV: worker, id
-- Answers 'ok', or 'gone' when the job is not this worker's (any more).
local job = load(ARGV[2])
write_even_when_full()
if not job or job.worker ~= ARGV[1] or not is_held(job) then
  call('SREM', P .. 'leased:' .. ARGV[1], ARGV[2])
  return 'gone'
end
local now, was = now_ms(), nil
if job.state == 'cancelling' then
  was = terminate_lost(job, 'cancelled', now, {})
else
  was = requeue(job, now, job.used, {})
end
publish({{record(job, was), false, false, false}})
return 'ok'
