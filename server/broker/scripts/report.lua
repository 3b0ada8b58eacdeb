-- Take down how far running jobs are: one call for all that have something new.
-- ARGV: packed list of {id, token, progress or false, warnings or false, first offset, entries, whether older ones are lost};
--       log entries kept; log bytes kept
-- Answers a packed list of {code, last offset stored, state}: 'ok', 'hole' (resend from last + 1), 'fenced' (another
-- attempt or an end has come; stop), 'gone' (the store does not know the job).
local reports, keep, keep_bytes = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local out, items = {}, {}
for i, given in ipairs(reports) do
  local id, token, progress, warnings, first, entries, lost = unpack(given)
  local job = load(id)
  if not job then
    out[i] = {'gone', 0, ''}
  elseif job.token ~= token or (job.state ~= 'running' and job.state ~= 'cancelling') then
    out[i] = {'fenced', job.log_last, job.state}
  else
    local code, added = append_log(id, job, first, entries, lost, keep, keep_bytes)
    local more = {'log_last', job.log_last, 'log_bytes', job.log_bytes}
    if progress then more[#more + 1] = 'progress' more[#more + 1] = progress end
    if warnings then more[#more + 1] = 'warnings' more[#more + 1] = warnings end
    step(id, job, job.state, now, unpack(more))
    local from, new = announced(first, entries, added)
    items[#items + 1] = {record(id, job.state), from, new, false}
    out[i] = {code, job.log_last, job.state}
  end
end
publish(items)
return cmsgpack.pack(out)
