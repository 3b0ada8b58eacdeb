-- Take down how far running jobs are: one call for all that have something new.
-- ARGV: packed list of {id, token, progress or false, warnings or false, first offset, entries, whether older ones are
--       lost, offset after which they are, checkpoint or false (stored with the entries, not without)}; log entries
--       kept; log bytes kept; for how long (ms); 'ending' takes it though memory is full
-- Answers a packed list of {code, last offset stored, state, whether somebody looks at the job}: 'ok', 'hole' (resend from last + 1), 'fenced' (another
-- attempt or an end has come; stop), 'gone' (the store does not know the job).
local reports, keep, keep_bytes = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local since = now - tonumber(ARGV[4])
if ARGV[5] == 'ending' then write_even_when_full() end
local out, items = {}, {}
for i, given in ipairs(reports) do
  local id, token, progress, warnings, first, entries, lost, known, checkpoint = unpack(given)
  local job = load(id)
  if not job then
    out[i] = {'gone', 0, '', false}
  elseif job.token ~= token or not is_held(job) then
    out[i] = {'fenced', job.log_last, job.state, false}
  else
    local set = {progress = progress or nil, warnings = warnings or nil}
    local code, added = append_log(job, set, first, entries, lost, known, keep, keep_bytes, since)
    if code == 'ok' then set.checkpoint = checkpoint or nil end
    step(job, job.state, now, set)
    local from, new = announced(first, entries, added)
    items[#items + 1] = {record(job, job.state), from, new, false}
    out[i] = {code, job.log_last, job.state, call('EXISTS', P .. 'watched:' .. id) == 1}
  end
end
publish(items)
return cmsgpack.pack(out)
