-- Take in new jobs: store, enqueue and announce each once, or answer with the job that stands for it.
-- ARGV: packed list of {id, fixed, args, timeout_s or false, delay_ms or false, at ms or false, once or false,
--       idempotency key or false, digest of what was submitted with it, schedule or false (then `at` is its tick), how
--       it is profiled or false, of a child the token of its parent, '' where that is a group, else false, of a group the
--       process that takes in its jobs, else false}; most
--       QUEUE/TASK pairs with jobs waiting; most jobs waiting in a queue, scheduled ones among them; how long a key is
--       remembered (ms); 'claimed' where a claim comes right behind this call, so that nobody is woken
-- Answers a packed list: {'new', now, due or false}, or {code, record}: 'accepted' (this id was stored before: a submit
-- that came twice), 'repeated' (its key was used for this job), 'joined' (this one has the same arguments, and waits or
-- runs), 'cached' (this one had, and has succeeded); or a refusal, which uses no key: {'pairs'} and {'full'} (too much
-- waits), {'differs'} (the key was used for something else), {'gone'} (its job is not kept any more),
-- {'ticked'} (a schedule's tick that was handed in before), {'late'} (its parent runs no more under this token, or takes
-- in no more jobs), {'other'} (a child with this id has another task or other arguments).
local jobs, max_pairs, queue_limit, lasts = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = now_ms()
local out, items = {}, {}

local unpacked = {}  -- by `fixed`: the jobs of a batch often have the same

-- A job as `load` would give it, if it were stored. A group has nothing to wait for.
local function new_job(id, fixed, due, once, group)
  unpacked[fixed] = unpacked[fixed] or cmsgpack.unpack(fixed)
  local what = unpacked[fixed]
  return {id = id, fixed = fixed, task = what[1], queue = what[2], tags = what[3], priority = what[4],
    max_attempts = what[5], rerun_of = what[6], limit = what[7] or false, parent = what[8] or false, weight = what[9],
    tree = group and 'group' or false, started_at = group and whole(now) or false,
    state = group and 'running' or (due and due > now) and 'scheduled' or 'queued', attempt = 1, version = now,
    log_last = 0, created_at = now, scheduled_at = due, finished_at = false, updated_at = now, node = false,
    progress = false, warnings = false, attempt_firsts = '1', once = once}
end

local function used_before(key, digest)
  local known = call('GET', P .. 'submitted:' .. key)
  if not known then return nil end
  local id, was = string.match(known, '^(%S+) (.*)$')
  if was ~= digest then return {'differs'} end
  local job = load(id)
  return job and {'repeated', record(job)} or {'gone'}
end

-- The job that answers for a new one. One that is being cancelled is not joined: whoever submits now wants a result. A
-- rerun and a job for later are not answered by what has been.
local function same_as(job, unique, cached)
  if cached and not job.rerun_of and job.state == 'queued' then
    local id = call('GET', cached_key(job, cached))
    local ended = id and load(id)
    if ended and ended.state == 'succeeded' then return {'cached', record(ended)} end
  end
  if unique then
    local id = call('GET', unique_key(job, unique))
    local other = id and load(id)
    if other and not has_ended(other) and other.state ~= 'cancelling' then return {'joined', record(other)} end
  end
end

local waiting = {}  -- by queue: how many jobs wait, as far as this script has asked

local function refused(job)
  local count = waiting[job.queue]
  if not count then
    local dim = ':queue:' .. job.queue
    count = call('ZCARD', P .. 'index:queued' .. dim) + call('ZCARD', P .. 'index:scheduled' .. dim)
    waiting[job.queue] = count
  end
  if count >= queue_limit then return {'full'} end
  local pair = pair_of(job)
  if not listed[pair] and call('SCARD', P .. 'ready') >= max_pairs
    and call('SISMEMBER', P .. 'ready', pair) == 0 then return {'pairs'} end
end

local parents = {}  -- by id

-- Whether a parent may have this child: one that runs, or a group that takes in jobs.
local function is_late(job, token)
  local parent = parents[job.parent] or load(job.parent)
  parents[job.parent] = parent
  if not parent or parent.state ~= 'running' then return true end
  if token ~= '' then return parent.token ~= token end
  return call('HEXISTS', tree_key(parent.id), 'open') == 0
end

local function open_group(job, process)
  call('HSET', job_key(job.id), 'tree', 'group', 'started_at', job.started_at)
  call('HSET', tree_key(job.id), 'open', 1)
  call('SADD', P .. 'opening:' .. process, job.id)
end

-- The first write is one that Redis refuses when memory is full: then nothing of the job is stored. A child waits where
-- its parent stood in the line, before what was submitted after it: so trees that have begun end before others begin.
local function store(job, args, timeout, unique, profile)
  job.order = call('INCR', P .. 'order')
  if job.parent then
    job.order = parents[job.parent].order
    kin[#kin + 1] = {job, false, job.state}
  end
  local fields = {'state', job.state, 'version', whole(now), 'order', job.order, 'fixed', job.fixed, 'args',
    args, 'created_at', whole(now), 'updated_at', whole(now)}
  if job.scheduled_at then fields[#fields + 1] = 'scheduled_at' fields[#fields + 1] = job.scheduled_at end
  if timeout then fields[#fields + 1] = 'timeout' fields[#fields + 1] = tostring(timeout) end
  if profile then fields[#fields + 1] = 'profile' fields[#fields + 1] = profile end
  if job.once then fields[#fields + 1] = 'once' fields[#fields + 1] = job.once end
  call('HSET', job_key(job.id), unpack(fields))
  reindex(job, nil, job.state)
  if job.tree then return end
  waiting[job.queue] = waiting[job.queue] + 1
  if unique then call('SET', unique_key(job, unique), job.id) end
  if job.state == 'scheduled' then
    call('ZADD', P .. 'scheduled', job.scheduled_at, job.id)
  else
    make_ready(job)
    if ARGV[5] ~= 'claimed' then wake(job) end
  end
end

local function stored_before(id, fixed, args, token)
  local job = load(id)
  local same = not token or (job.task == cmsgpack.unpack(fixed)[1] and call('HGET', job_key(id), 'args') == args)
  return {same and 'accepted' or 'other', record(job)}
end

local function take(id, fixed, args, timeout, delay, at, once, key, digest, schedule, profile, token, group)
  if call('EXISTS', job_key(id)) == 1 then return stored_before(id, fixed, args, token) end
  if schedule and not is_new_tick(schedule, at) then return {'ticked'} end
  local before = key and used_before(key, digest)
  if before then return before end
  local job = new_job(id, fixed, (delay and now + delay) or at or false, once, group)
  if token and is_late(job, token) then return {'late'} end
  local unique, cached
  if once then unique, cached = unpack(cmsgpack.unpack(once)) end
  local answer = once and same_as(job, unique, cached)
  if not answer then
    local refusal = not group and refused(job)
    if refusal then return refusal end
    store(job, args, timeout, unique, profile)
    if group then open_group(job, group) end
    items[#items + 1] = {record(job), false, false, false}
    answer = {'new', now, job.scheduled_at}
  end
  if key then
    local stands = answer[1] == 'new' and id or answer[2][1]
    call('SET', P .. 'submitted:' .. key, stands .. ' ' .. digest, 'PX', lasts)
  end
  if schedule then call('HSET', P .. 'schedules', schedule, whole(at)) end
  return answer
end

for i, given in ipairs(jobs) do out[i] = take(unpack(given)) end
publish(items)
return cmsgpack.pack(out)
