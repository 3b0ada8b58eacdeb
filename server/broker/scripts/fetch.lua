-- Read jobs. One moment for all of them.
-- ARGV: packed list of ids; 'detail' adds what summaries leave out
-- Answers packed {seq, list}: for each id false (no such job) or {record} or {record, args, result, error, result_bytes,
-- timeout_s, position or false}.
local out = {}
for i, id in ipairs(cmsgpack.unpack(ARGV[1])) do
  local rec = record(id)
  if not rec[3] then
    out[i] = false
  elseif ARGV[2] ~= 'detail' then
    out[i] = {rec}
  else
    local v = call('HMGET', job_key(id), 'args', 'result', 'error', 'result_bytes', 'timeout')
    local position = false
    if rec[3] == 'queued' then position = call('ZRANK', P .. 'ready:' .. pair_of(rec[8], rec[7]), id) end
    out[i] = {rec, v[1], v[2], v[3], v[4], v[5], position}
  end
end
return cmsgpack.pack({tonumber(call('GET', P .. 'seq') or 0), out})
