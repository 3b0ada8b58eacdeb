-- Read a piece of a job's log.
-- ARGV: id, after (offset), most entries, most bytes
-- Answers packed false (no such job) or {first kept, last, list of {offset, entry or false, gap from or false}}; first
-- kept is last + 1 when nothing is kept.
local id, after, most, max_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if call('EXISTS', job_key(id)) == 0 then return cmsgpack.pack(false) end
local last = tonumber(call('HGET', job_key(id), 'log_last') or 0)
local key, list, size = P .. 'log:' .. id, {}, 0
local head = call('XRANGE', key, '-', '+', 'COUNT', 1)
local first = last + 1
if head[1] then
  first = tonumber(string.match(head[1][1], '^%d+'))
  if head[1][2][1] == 'g' then first = tonumber(head[1][2][2]) end
end
if most > 0 then
  for _, entry in ipairs(call('XRANGE', key, (after + 1) .. '-0', '+', 'COUNT', most)) do
    local offset, kind, value = tonumber(string.match(entry[1], '^%d+')), entry[2][1], entry[2][2]
    if kind == 'g' then
      list[#list + 1] = {offset, false, tonumber(value)}
    else
      size = size + #value
      if size > max_bytes and #list > 0 then break end
      list[#list + 1] = {offset, value, false}
    end
  end
end
return cmsgpack.pack({first, last, list})
