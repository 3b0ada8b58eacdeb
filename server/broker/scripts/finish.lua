-- End attempts: store the rest of the log, the verdict and the outcome, release the lease, announce; one step each.
-- ARGV: packed list of {id, token, verdict, outcome or false, result_bytes or false, progress or false, warnings or
--       false, first offset, entries, whether older ones are lost, offset after which they are, delay_ms or false, checkpoint or false,
--       how long (ms) it took, if that is to be kept, or false};
--       log entries kept; log bytes kept; for how long (ms); durations kept of a task; for how long (ms)
--       verdict: succeeded, failed, cancelled; queued gives the job back (a new attempt that uses up none); retry asks
--       for a new attempt after delay_ms (one more `retried`). Both end a job `cancelled` that was asked to end.
-- Answers a packed list of {code, last offset stored}: 'ok' (also when this end was stored before), 'hole' (resend the
-- log from last + 1 first), 'fenced' (another attempt or another's end has come; also a give-back or
-- retry that comes twice) or 'gone'.
local verdicts, keep, keep_bytes = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local since = now - tonumber(ARGV[4])
write_even_when_full()

-- Answers the state the job came from.
local function settle(job, verdict, outcome, set, delay)
  if verdict == 'queued' and job.state == 'running' then return requeue(job, now, job.used, set) end
  if verdict == 'retry' and job.state == 'running' then
    set.retried = job.retried + 1
    return requeue(job, now, job.used, set, delay > 0 and now + delay)
  end
  if verdict == 'queued' or verdict == 'retry' then verdict = 'cancelled' end
  if outcome then set[verdict == 'succeeded' and 'result' or 'error'] = outcome end
  return terminate(job, verdict, now, set)
end

local function note_duration(task, ms)
  local key = P .. 'took:' .. task
  call('LPUSH', key, whole(ms))
  call('LTRIM', key, 0, tonumber(ARGV[5]) - 1)
  call('PEXPIRE', key, ARGV[6])
end

local out, items = {}, {}
for i, given in ipairs(verdicts) do
  local id, token, verdict, outcome, result_bytes, progress, warnings, first, entries, lost, known, delay,
    checkpoint, took = unpack(given)
  local job = load(id)
  if not job then
    out[i] = {'gone', 0}
  elseif job.token ~= token then
    out[i] = {'fenced', job.log_last}
  elseif not is_held(job) then
    out[i] = {'ok', job.log_last}
  else
    local set = {progress = progress or nil, warnings = warnings or nil, result_bytes = result_bytes or nil,
      checkpoint = checkpoint or nil}
    local code, added = append_log(job, set, first, entries, lost, known, keep, keep_bytes, since)
    if code == 'ok' then
      if took and verdict == 'succeeded' then note_duration(job.task, took) end
      local was = settle(job, verdict, outcome, set, delay or 0)
      local from, new = announced(first, entries, added)
      items[#items + 1] = {record(job, was), from, new, outcome and #outcome <= 8192 and outcome}
    end
    out[i] = {code, job.log_last}
  end
end
publish(items)
return cmsgpack.pack(out)
