-- Note schedules, and read how far they are. Of one the store does not know, everything up to now counts as handed in.
-- ARGV: packed list of schedules
-- Answers packed {now (ms), list of their last ticks (ms)}.
local now, last = now_ms(), {}
for i, schedule in ipairs(cmsgpack.unpack(ARGV[1])) do
  call('HSETNX', P .. 'schedules', schedule, whole(now))
  last[i] = tonumber(call('HGET', P .. 'schedules', schedule))
end
return cmsgpack.pack({now, last})
