-- Read jobs. One moment for all of them.
-- ARGV: packed list of ids; 'detail' adds what summaries leave out
-- Answers packed {seq, list}: for each id false (no such job) or {record} or {record, args, result, error, result_bytes,
-- timeout_s, position or false}.
local out = {}
for i, id in ipairs(cmsgpack.unpack(ARGV[1])) do
  local job = load(id)
  if not job then
    out[i] = false
  elseif ARGV[2] ~= 'detail' then
    out[i] = {record(job)}
  else
    local v = call('HMGET', job_key(id), 'args', 'result', 'error', 'result_bytes', 'timeout')
    local position = job.state == 'queued' and call('ZRANK', P .. 'ready:' .. pair_of(job), id)
    out[i] = {record(job), v[1], v[2], v[3], v[4], v[5], position}
  end
end
return cmsgpack.pack({tonumber(call('GET', P .. 'seq') or 0), out})
