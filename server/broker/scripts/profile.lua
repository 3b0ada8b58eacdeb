-- Keep a profile beside its job. It goes when the job goes, or when there are newer ones enough.
-- ARGV: id, token of the attempt, number that `ask` gave or '' for the next, packed head, tree, pstats or '', most kept
-- Answers the number; 0: another attempt has come, or the job is gone.
local id, most = ARGV[1], tonumber(ARGV[7])
if call('HGET', job_key(id), 'token') ~= ARGV[2] then return 0 end
local key = kept_key(id)
local number = ARGV[3] == '' and call('HINCRBY', key, 'profiles', 1) or tonumber(ARGV[3])
call('HSET', key, 'head:' .. number, ARGV[4], 'tree:' .. number, ARGV[5], 'pstats:' .. number, ARGV[6])
local kept = {}
for _, field in ipairs(call('HKEYS', key)) do
  local one = string.match(field, '^head:(%d+)$')
  if one then kept[#kept + 1] = tonumber(one) end
end
table.sort(kept)
for i = 1, #kept - most do call('HDEL', key, 'head:' .. kept[i], 'tree:' .. kept[i], 'pstats:' .. kept[i]) end
return number
