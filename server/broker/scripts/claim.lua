-- Lease waiting jobs to a worker: the least heads among the tasks and queues it serves, strictly by priority.
-- ARGV: worker, its node's name, request id (becomes the token), how many (1000 at most), packed list of queues ('*' is
--       all; the order is theirs), packed list of tasks, signature of its lane, most bytes of arguments
-- Answers a packed list of {record, args, timeout or false}. The same request answers the same jobs again. A worker
-- that gets less than it asked for is noted as idle.
local worker, node, request, signature, max_bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[7], tonumber(ARGV[8])
local count = math.min(tonumber(ARGV[4]), 1000)
local now = now_ms()
write_even_when_full()

local function lease_of(job, was)
  local v = call('HMGET', job_key(job.id), 'args', 'timeout')
  return {record(job, was), v[1], v[2] and tonumber(v[2]) or false}
end

local last = call('HGET', P .. 'claim:' .. worker, signature)
last = last and cmsgpack.unpack(last)
if last and last[1] == request then
  local out = {}
  for _, id in ipairs(last[2]) do
    local job = load(id)
    if job and job.token == request and is_held(job) then out[#out + 1] = lease_of(job) end
  end
  return cmsgpack.pack(out)
end

local queues, any = {}, false
for rank, queue in ipairs(cmsgpack.unpack(ARGV[5])) do
  if queue == '*' then any = rank else queues[queue] = rank end
end
local tasks = {}
for _, task in ipairs(cmsgpack.unpack(ARGV[6])) do tasks[task] = true end

local heads = {}
for _, pair in ipairs(call('SMEMBERS', P .. 'ready')) do
  local queue, task = string.match(pair, '^([^/]*)/(.*)$')
  local rank = queues[queue] or any
  if rank and tasks[task] then
    local found = call('ZRANGE', P .. 'ready:' .. pair, 0, count - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      heads[#heads + 1] = {rank, tonumber(found[i + 1]), found[i], pair}
    end
  end
end
table.sort(heads, function(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[3] < b[3]
end)

local out, ids, items, bytes, more, taken = {}, {}, {}, 0, false, {}
for _, head in ipairs(heads) do
  if #out >= count or bytes > max_bytes then more = true break end
  local id, pair = head[3], head[4]
  taken[pair] = (taken[pair] or 0) + 1
  local job = load(id)
  if job and job.state == 'queued' then
    step(job, 'running', now, {token = request, worker = worker, node = node, started_at = whole(now)})
    local lease = lease_of(job, 'queued')
    bytes = bytes + #lease[2]
    out[#out + 1], ids[#ids + 1], items[#items + 1] = lease, id, {lease[1], false, false, false}
  end
end
for pair, n in pairs(taken) do  -- of each pair the first ones were taken
  call('ZREMRANGEBYRANK', P .. 'ready:' .. pair, 0, n - 1)
  if call('EXISTS', P .. 'ready:' .. pair) == 0 then call('SREM', P .. 'ready', pair) end
end
if #out > 0 then
  call('SADD', P .. 'leased:' .. worker, unpack(ids))
  call('HSET', P .. 'claim:' .. worker, signature, cmsgpack.pack({request, ids}))
end
if #out >= count then
  call('SREM', P .. 'idle:' .. signature, worker)
elseif more then  -- only the arguments were too much for one claim: it comes again at once
  call('SREM', P .. 'idle:' .. signature, worker)
  call('PUBLISH', P .. 'worker:' .. worker, cmsgpack.pack({'claim', signature}))
else
  call('SADD', P .. 'idle:' .. signature, worker)
end
publish(items)
return cmsgpack.pack(out)
