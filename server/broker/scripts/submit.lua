-- Store, enqueue and announce new jobs, each once: an id that exists answers what is stored.
-- ARGV: packed list of {id, fixed, args, timeout_s or false, delay_ms or false, at ms or false}; most QUEUE/TASK pairs
--       with jobs waiting
-- Answers a packed list: a record each, or 'full' where too many pairs of queue and task have jobs waiting.
local jobs, max_pairs = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local out, items = {}, {}

-- A job as `load` would give it, if it were stored.
local function new_job(id, fixed, due)
  local what = cmsgpack.unpack(fixed)
  return {id = id, fixed = fixed, task = what[1], queue = what[2], tags = what[3], priority = what[4],
    max_attempts = what[5], state = (due and due > now) and 'scheduled' or 'queued', attempt = 1, version = now,
    log_last = 0, created_at = now, scheduled_at = due, started_at = false, finished_at = false, updated_at = now,
    node = false, progress = false, warnings = false, attempt_firsts = '1'}
end

local function refused(job)
  return call('SCARD', P .. 'ready') >= max_pairs and call('SISMEMBER', P .. 'ready', pair_of(job)) == 0
end

-- The first write is one that Redis refuses when memory is full: then nothing of the job is stored.
local function store(job, args, timeout)
  job.order = call('INCR', P .. 'order')
  local fields = {'state', job.state, 'version', whole(now), 'order', job.order, 'fixed', job.fixed, 'args',
    args, 'created_at', whole(now), 'updated_at', whole(now)}
  if job.scheduled_at then fields[#fields + 1] = 'scheduled_at' fields[#fields + 1] = job.scheduled_at end
  if timeout then fields[#fields + 1] = 'timeout' fields[#fields + 1] = tostring(timeout) end
  call('HSET', job_key(job.id), unpack(fields))
  reindex(job, nil, job.state)
  if job.state == 'scheduled' then
    call('ZADD', P .. 'scheduled', job.scheduled_at, job.id)
  else
    make_ready(job)
    wake(job)
  end
end

for i, given in ipairs(jobs) do
  local id, fixed, args, timeout, delay, at = unpack(given)
  if call('EXISTS', job_key(id)) == 1 then
    out[i] = record(load(id))
  else
    local job = new_job(id, fixed, (delay and now + delay) or at or false)
    if refused(job) then
      out[i] = 'full'
    else
      store(job, args, timeout)
      out[i] = record(job)
      items[#items + 1] = {out[i], false, false, false}
    end
  end
end
publish(items)
return cmsgpack.pack(out)
