-- Give a worker the jobs back that it holds, after the store may have gone back: to an older copy, or to nothing.
-- ARGV: worker, its node's name, name of the store and sequence number as it saw them last, packed list of {id, token,
--       attempt, attempt_firsts, fixed, args, timeout or false, created_at, scheduled_at or false, version, once or
--       false, retried}
-- Answers a packed list: 'ok' (the job is held under this token, perhaps from now on), 'ended' (this attempt has),
-- 'fenced' (a newer attempt or another's end stands; nothing was done) or 'gone'.
-- A job that waits, or is held, at this attempt's number or an earlier one without its token was set back: nothing else
-- leads there. An unknown one may have been deleted; it is made again only where the store has provably gone back: that
-- it has is seen by name and number, or by a parent that goes on and has not had this child deleted.
local worker, node, now = ARGV[1], ARGV[2], now_ms()
write_even_when_full()
local back = call('GET', P .. 'store') ~= ARGV[3] or tonumber(call('GET', P .. 'seq') or 0) < tonumber(ARGV[4])

local function take_back(job)
  unlist(job)
  if job.worker then call('SREM', P .. 'leased:' .. job.worker, job.id) end
end

-- Children that were told again before their parent: what is kept of them besides the indexes.
local function regrow(id)
  local weight, done, any = 0, 0, false
  write_noted()
  for _, state in ipairs({'scheduled', 'queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled'}) do
    for _, child in ipairs(call('ZRANGE', children_in(state, id), 0, -1)) do
      local fixed = call('HGET', job_key(child), 'fixed')
      local one = fixed and cmsgpack.unpack(fixed)[9] or 0
      weight, any = weight + one, true
      if ENDS[state] then done = done + one end
    end
  end
  if not any then return false end
  call('HSET', tree_key(id), 'weight', weight, 'done', done)
  call('HSET', job_key(id), 'tree', 'yes')
  return 'yes'
end

local function unknown(id, fixed, args, timeout, created, scheduled, version, once)
  local what = cmsgpack.unpack(fixed)
  call('HSET', job_key(id), 'fixed', fixed, 'args', args, 'created_at', whole(created), 'order',
    call('INCR', P .. 'order'))
  if timeout then call('HSET', job_key(id), 'timeout', tostring(timeout)) end
  if scheduled then call('HSET', job_key(id), 'scheduled_at', whole(scheduled)) end
  if once then
    call('HSET', job_key(id), 'once', once)
    local unique = cmsgpack.unpack(once)[1]
    if unique then call('SET', unique_key({task = what[1]}, unique), id, 'NX') end
  end
  return {id = id, fixed = fixed, task = what[1], queue = what[2], tags = what[3], limit = what[7] or false,
    parent = what[8] or false, weight = what[9], tree = regrow(id), state = false,
    version = version, log_last = 0, created_at = created, scheduled_at = scheduled, progress = false, warnings = false,
    finished_at = false, once = once}
end

-- It runs, so it has a place, even where that is one more than its limit allows.
-- A holder without a counter of beats would never be found lost.
local function hold(job, token, attempt, firsts, retried)
  call('SADD', P .. 'leased:' .. worker, job.id)
  call('HSETNX', P .. 'beats', worker, 0)
  local was = step(job, 'running', now, {token = token, worker = worker, node = node, attempt = attempt,
    started_at = whole(now), attempt_firsts = firsts, retried = retried})
  if job.limit then
    call('SADD', P .. 'holding:' .. job.limit, job.id)
    let_in(job.limit)
  end
  return was
end

local function parent_misses(id, fixed)
  local parent = cmsgpack.unpack(fixed)[8]
  local job = parent and load(parent)
  return job and not has_ended(job) and call('SISMEMBER', dropped_key(parent), id) == 0
end

local out, items = {}, {}
for i, given in ipairs(cmsgpack.unpack(ARGV[5])) do
  local id, token, attempt, firsts, fixed, args, timeout, created, scheduled, version, once, retried =
    unpack(given)
  local job = load(id)
  if not job and not back and not parent_misses(id, fixed) then
    out[i] = 'gone'
  elseif job and job.token == token then
    out[i] = is_held(job) and 'ok' or 'ended'
  elseif job and (has_ended(job) or job.attempt > attempt or (job.attempt == attempt and is_held(job))) then
    out[i] = 'fenced'
  else
    if job then take_back(job) else job = unknown(id, fixed, args, timeout, created, scheduled, version, once) end
    local was = hold(job, token, attempt, firsts, retried or 0)
    items[#items + 1] = {record(job, was), false, false, false}
    out[i] = 'ok'
  end
end
publish(items)
return cmsgpack.pack(out)
