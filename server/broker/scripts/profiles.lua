-- Read the profiles of a job.
-- ARGV: id, number of one or none
-- Answers nil (no such job), or packed: list of {number, head}; for a number {head, tree, pstats}, empty if there is none.
if call('EXISTS', job_key(ARGV[1])) == 0 then return false end
local key = kept_key(ARGV[1])
if ARGV[2] then
  local found = call('HMGET', key, 'head:' .. ARGV[2], 'tree:' .. ARGV[2], 'pstats:' .. ARGV[2])
  return cmsgpack.pack(found[1] and found or {})
end
local out = {}
for _, field in ipairs(call('HKEYS', key)) do
  local number = string.match(field, '^head:(%d+)$')
  if number then out[#out + 1] = {tonumber(number), call('HGET', key, field)} end
end
return cmsgpack.pack(out)
