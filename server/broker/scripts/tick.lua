-- One beat of a process: raise its counter, see the others', promote due jobs, learn what it should do. A message to
-- its own channel shows it that its link can hear.
-- ARGV: process id, packed description, name for a store without one, keep_s, keep (count), most jobs to promote,
--       packed list of queues ('*' is all) and packed list of tasks its worker serves (empty: it runs no jobs), name and
--       sequence number of the store at its last beat ('' and 0 before), ms for which nothing is claimed of a store
--       that has gone back
-- Answers packed {store, seq, beats {process, counter, …}, ms to the next due job or false, ids to cancel, ids leased,
-- whether its worker is enlisted, whether jobs wait that it could run, whether memory is full, how many to sweep, of how many
-- jobs there are children to `fell`, questions, ends that no worker counts {QUEUE/TASK/STATE, how many, …}}.
local me, now = ARGV[1], now_ms()
local full = redis.pcall('SET', P .. 'probe', 1, 'EX', 60)
full = type(full) == 'table' and full.err ~= nil
write_even_when_full()
call('SET', P .. 'store', ARGV[3], 'NX')
if ARGV[9] then note_recovery(ARGV[9], ARGV[10], ARGV[11]) end
call('HINCRBY', P .. 'beats', me, 1)
call('HSET', P .. 'nodes', me, ARGV[2])
call('PUBLISH', P .. 'worker:' .. me, cmsgpack.pack({'beat', ''}))

local items = {}
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'scheduled', '-inf', now, 'LIMIT', 0, tonumber(ARGV[6]))) do
  call('ZREM', P .. 'scheduled', id)
  local job = load(id)
  if job and job.state == 'scheduled' then
    step(job, 'queued', now, {})
    make_ready(job)
    wake(job)
    items[#items + 1] = {record(job, 'scheduled'), false, false, false}
  end
end
for _, id in ipairs(call('SRANDMEMBER', P .. 'rolling', 100)) do
  call('SREM', P .. 'rolling', id)
  touch(id)
end
felling = call('EXISTS', P .. 'felling') == 1
publish(items)

-- One limit that holds jobs back is looked at, so that what no step foresees does not last: a limit that was raised or
-- taken away, a place whose holder was lost with a part of the data, a ready job that no worker serves.
local limit = call('SRANDMEMBER', P .. 'waiting')
if limit then
  local holder = call('SRANDMEMBER', P .. 'holding:' .. limit)
  local held = holder and load(holder)
  if holder and not (held and is_held(held)) then call('SREM', P .. 'holding:' .. limit, holder) end
  local task = string.match(limit, '^[^/]*')
  local most = tonumber(call('HGET', P .. 'limits', task)) or math.huge
  local room = math.min(most - call('SCARD', P .. 'holding:' .. limit), 100)
  for _ = 1, room do
    if not let_in(limit) then break end
  end
end

local due = call('ZRANGE', P .. 'scheduled', 0, 0, 'WITHSCORES')
local wait = due[2] and math.max(0, tonumber(due[2]) - now) or false

local cancels, leased = {}, call('SMEMBERS', P .. 'leased:' .. me)
for _, id in ipairs(leased) do
  if call('HGET', job_key(id), 'state') == 'cancelling' then cancels[#cancels + 1] = id end
end

local queues, tasks, work = {}, {}, false
for _, queue in ipairs(cmsgpack.unpack(ARGV[7])) do queues[queue] = true end
for _, task in ipairs(cmsgpack.unpack(ARGV[8])) do tasks[task] = true end
for _, pair in ipairs(call('SMEMBERS', P .. 'ready')) do
  local queue, task = string.match(pair, '^([^/]*)/(.*)$')
  if tasks[task] and (queues['*'] or queues[queue]) then work = true break end
end

local asked = call('LRANGE', P .. 'asked:' .. me, 0, -1)
if #asked > 0 then call('DEL', P .. 'asked:' .. me) end

local uncounted = call('HGETALL', P .. 'uncounted')
if #uncounted > 0 then call('DEL', P .. 'uncounted') end

local old = call('ZCOUNT', P .. 'ended', '-inf', now - tonumber(ARGV[4]) * 1000)
local over = math.max(old, call('ZCARD', P .. 'ended') - tonumber(ARGV[5]))
return cmsgpack.pack({call('GET', P .. 'store'), tonumber(call('GET', P .. 'seq') or 0), call('HGETALL', P .. 'beats'),
  wait, cancels, leased, call('HEXISTS', P .. 'workers', me) == 1, work, full, over, call('SCARD', P .. 'felling'), asked,
  uncounted})
