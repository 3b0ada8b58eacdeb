-- Make a worker known: what its lanes serve, so that submits can wake it.
-- ARGV: worker, packed list of {signature, list of QUEUE/TASK pairs}
local worker, lanes = ARGV[1], cmsgpack.unpack(ARGV[2])
write_even_when_full()
call('HSETNX', P .. 'beats', worker, 0)
call('HSET', P .. 'workers', worker, ARGV[2])
for _, lane in ipairs(lanes) do
  call('SADD', P .. 'members:' .. lane[1], worker)
  for _, pair in ipairs(lane[2]) do call('SADD', P .. 'serves:' .. pair, lane[1]) end
end
return 'ok'
