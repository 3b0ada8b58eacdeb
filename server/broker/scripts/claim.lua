-- Lease waiting jobs to a worker: the least heads among the tasks and queues it serves, strictly by priority.
-- ARGV: worker, its node's name, request id (becomes the token), how many (1000 at most), packed list of queues ('*' is
--       all; the order is theirs), packed list of tasks, signature of its lane, most bytes of arguments, packed map of
--       tasks to how many of their jobs may run at once, as the worker's code says,
--       (if wanted) name and sequence number of the store as the worker knows them, and ms for which nothing is claimed of
--       a store that has gone back
-- Answers a packed list of {record, args, timeout or false, once or false, retried, checkpoint or false, profile or
-- false}. The same request answers the same
-- jobs again. A worker that gets less than it asked for is noted as idle. A head whose limit is full goes to those that
-- wait for it.
local worker, node, request, signature, max_bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[7], tonumber(ARGV[8])
local count = math.min(tonumber(ARGV[4]), 1000)
local now = now_ms()
write_even_when_full()

-- Jobs that run may seem to wait in a store that has gone back: their runners come first.
if ARGV[10] then note_recovery(ARGV[10], ARGV[11], ARGV[12]) end
if call('EXISTS', P .. 'recovering') == 1 then return cmsgpack.pack({}) end

local function lease_of(job, was)
  local v = call('HMGET', job_key(job.id), 'args', 'timeout', 'checkpoint', 'profile')
  return {record(job, was), v[1], v[2] and tonumber(v[2]) or false, job.once, job.retried, v[3], v[4]}
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

local limits = ARGV[9] and cmsgpack.unpack(ARGV[9]) or {}
for task, most in pairs(limits) do
  mosts[task] = most
  if call('HGET', P .. 'limits', task) ~= whole(most) then call('HSET', P .. 'limits', task, whole(most)) end
end

local function sooner(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[3] < b[3]
end

-- The least heads, in order: {rank of the queue, rank, id, pair}. More of a task with a limit: some may be held back.
local function find_heads(wanted)
  local heads = {}
  for _, pair in ipairs(call('SMEMBERS', P .. 'ready')) do
    local queue, task = string.match(pair, '^([^/]*)/(.*)$')
    local rank = queues[queue] or any
    if rank and tasks[task] then
      local last = (limits[task] and math.max(wanted, 100) or wanted) - 1
      local found = call('ZRANGE', P .. 'ready:' .. pair, 0, last, 'WITHSCORES')
      for i = 1, #found, 2 do heads[#heads + 1] = {rank, tonumber(found[i + 1]), found[i], pair} end
    end
  end
  table.sort(heads, sooner)
  return heads
end

local out, ids, items, bytes, more, touched = {}, {}, {}, 0, false, {}

local function take(job)
  step(job, 'running', now, {token = request, worker = worker, node = node, started_at = whole(now)})
  local lease = lease_of(job, 'queued')
  bytes = bytes + #lease[2]
  out[#out + 1], ids[#ids + 1], items[#items + 1] = lease, job.id, {lease[1], false, false, false}
  if not job.limit then return end
  call('SADD', P .. 'holding:' .. job.limit, job.id)
  touched[job.limit] = true
  if not limits[job.task] then call('HDEL', P .. 'limits', job.task) end  -- its code has no limit any more
end

-- The first ones of each pair go.
local function drop_heads(gone)
  for pair, n in pairs(gone) do
    call('ZREMRANGEBYRANK', P .. 'ready:' .. pair, 0, n - 1)
    if call('EXISTS', P .. 'ready:' .. pair) == 0 then call('SREM', P .. 'ready', pair) end
    listed[pair] = nil
  end
end

-- Take heads until it is enough. Answers whether there may be more behind those that are held back now.
local function take_heads()
  local again, gone = false, {}
  for _, head in ipairs(find_heads(count - #out)) do
    if #out >= count or bytes > max_bytes then more = true break end
    local id, pair = head[3], head[4]
    gone[pair] = (gone[pair] or 0) + 1
    local job = load(id)
    if job and job.state == 'queued' then
      if job.limit and not limits[job.task] then mosts[job.task] = math.huge end
      if is_full(job) then
        hold_back(job)
        again = true
      else
        take(job)
      end
    end
  end
  drop_heads(gone)
  for limit in pairs(touched) do again = let_in(limit) or again end
  return again
end

for round = 1, 10 do
  if not take_heads() or more or #out >= count then break end
  more = round == 10
end
if #out > 0 then
  call('SADD', P .. 'leased:' .. worker, unpack(ids))
  call('HSETNX', P .. 'beats', worker, 0)  -- a holder without a counter would never be found lost
  call('HSET', P .. 'claim:' .. worker, signature, cmsgpack.pack({request, ids}))
end
if #out >= count then
  call('SREM', P .. 'idle:' .. signature, worker)
elseif more then  -- too much for one claim, arguments or jobs held back: it comes again at once
  call('SREM', P .. 'idle:' .. signature, worker)
  call('PUBLISH', P .. 'worker:' .. worker, cmsgpack.pack({'claim', signature}))
else
  call('SADD', P .. 'idle:' .. signature, worker)
end
publish(items)
return cmsgpack.pack(out)
