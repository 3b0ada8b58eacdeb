-- End attempts: store the rest of the log, the verdict and the outcome, release the lease, announce; one step each.
-- ARGV: packed list of {id, token, verdict, outcome or false, result_bytes or false, progress or false, warnings or
--       false, first offset, entries, whether older ones are lost}; log entries kept; log bytes kept
--       verdict: succeeded, failed, cancelled; queued gives the job back (a new attempt that uses up none)
-- Answers a packed list of {code, last offset stored}: 'ok' (also when this end was stored before), 'hole' (resend the
-- log from last + 1 first), 'fenced' or 'gone'.
local verdicts, keep, keep_bytes = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
write_even_when_full()

local function settle(id, job, given, first, entries, added)
  local verdict, outcome, result_bytes, progress, warnings = given[3], given[4], given[5], given[6], given[7]
  local more = {'log_last', job.log_last, 'log_bytes', job.log_bytes}
  if progress then more[#more + 1] = 'progress' more[#more + 1] = progress end
  if warnings then more[#more + 1] = 'warnings' more[#more + 1] = warnings end
  if result_bytes then more[#more + 1] = 'result_bytes' more[#more + 1] = result_bytes end
  call('HSET', job_key(id), unpack(more))
  local was
  if verdict == 'queued' and job.state == 'cancelling' then verdict = 'cancelled' end
  if verdict == 'queued' then
    was = requeue(id, job, now, job.used)
    wake(job)
  else
    was = terminate(id, job, verdict, now, outcome and (verdict == 'succeeded' and 'result' or 'error'), outcome)
  end
  local from, new = announced(first, entries, added)
  if outcome and #outcome > 8192 then outcome = false end
  return {record(id, was), from, new, outcome}
end

local out, items = {}, {}
for i, given in ipairs(verdicts) do
  local id, token, first, entries, lost = given[1], given[2], given[8], given[9], given[10]
  local job = load(id)
  if not job then
    out[i] = {'gone', 0}
  elseif job.token ~= token then
    out[i] = {'fenced', job.log_last}
  elseif job.state ~= 'running' and job.state ~= 'cancelling' then
    out[i] = {'ok', job.log_last}
  else
    local code, added = append_log(id, job, first, entries, lost, keep, keep_bytes)
    if code == 'ok' then items[#items + 1] = settle(id, job, given, first, entries, added) end
    out[i] = {code, job.log_last}
  end
end
publish(items)
return cmsgpack.pack(out)
