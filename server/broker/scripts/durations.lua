-- How long jobs of some tasks took of late.
-- ARGV: packed list of tasks
-- Answers a packed list: for each a list of ms, latest first.
local out = {}
for i, task in ipairs(cmsgpack.unpack(ARGV[1])) do out[i] = call('LRANGE', P .. 'took:' .. task, 0, -1) end
return cmsgpack.pack(out)
