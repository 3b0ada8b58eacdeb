-- Lease waiting jobs to a worker: the least heads among the tasks and queues it serves, strictly by priority.
-- ARGV: worker, its node's name, request id (becomes the token), how many, packed list of queues ('*' is all; the order
--       is theirs), packed list of tasks, signature of its lane, most bytes of arguments
-- Answers a packed list of {id, attempt, task, args, timeout or false, fixed, log_last, record}. The same request
-- answers the same jobs again. A worker that gets less than it asked for is noted as idle.
local worker, node, request, count, signature = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[7]
local max_bytes = tonumber(ARGV[8])
local now = now_ms()

local function lease_of(id)
  local v = call('HMGET', job_key(id), 'attempt', 'task', 'args', 'timeout', 'fixed', 'log_last')
  return {id, tonumber(v[1]), v[2], v[3], v[4] and tonumber(v[4]) or false, v[5], tonumber(v[6])}
end

local last = call('HGET', P .. 'claim:' .. worker, signature)
last = last and cmsgpack.unpack(last)
if last and last[1] == request then
  local out = {}
  for _, id in ipairs(last[2]) do
    if call('HGET', job_key(id), 'token') == request then
      local lease = lease_of(id)
      lease[8] = record(id)
      out[#out + 1] = lease
    end
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

local out, ids, items, bytes, more = {}, {}, {}, 0, false
for _, head in ipairs(heads) do
  local id = head[3]
  if #out >= count or bytes > max_bytes then more = true break end
  unready(id, head[4])
  local job = load(id)
  if job and job.state == 'queued' then
    step(id, job, 'running', now, 'token', request, 'worker', worker, 'node', node, 'started_at', now)
    call('SADD', P .. 'leased:' .. worker, id)
    local lease = lease_of(id)
    lease[8] = record(id, 'queued')
    bytes = bytes + #lease[4]
    out[#out + 1], ids[#ids + 1], items[#items + 1] = lease, id, {lease[8], false, false, false}
  end
end
if #out > 0 then call('HSET', P .. 'claim:' .. worker, signature, cmsgpack.pack({request, ids})) end
if #out < count and not more then
  call('SADD', P .. 'idle:' .. signature, worker)
else
  call('SREM', P .. 'idle:' .. signature, worker)
end
publish(items)
return cmsgpack.pack(out)
