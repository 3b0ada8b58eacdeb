-- Behind _waiting.lua in every script: the ends of a job, and its way back.

local function unique_key(job, hash) return P .. 'unique:' .. job.task .. ':' .. hash end
local function cached_key(job, hash) return P .. 'cached:' .. job.task .. ':' .. hash end

-- A job ends: jobs with the same arguments join it no more; if it has succeeded its result answers them for a while.
local function part_from_same(job, to)
  if not job.once then return end
  local unique, cached, lasts = unpack(cmsgpack.unpack(job.once))
  if unique and call('GET', unique_key(job, unique)) == job.id then call('DEL', unique_key(job, unique)) end
  if cached and to == 'succeeded' then call('SET', cached_key(job, cached), job.id, 'PX', whole(lasts)) end
end

-- A job goes: its result answers nobody any more.
local function drop_cached(job)
  local cached = job.once and cmsgpack.unpack(job.once)[2]
  if cached and call('GET', cached_key(job, cached)) == job.id then call('DEL', cached_key(job, cached)) end
end

local function dropped_key(id) return P .. 'dropped:' .. id end

-- The children of a job are cancelled, unless it has succeeded: see _trees.lua.
local function fell(id)
  call('SADD', P .. 'felling', id)
  felling = true
end

-- The token of a job that its worker has ended stays: a finish that is sent twice is known by it.
local function terminate(job, to, now, set)
  if job.worker then call('SREM', P .. 'leased:' .. job.worker, job.id) end
  set.finished_at = whole(now)
  part_from_same(job, to)
  local was = step(job, to, now, set)
  note(added, P .. 'ended', whole(now), job.id)
  give_up_place(job)
  if job.tree then
    call('HSET', P .. 'tree:' .. job.id, 'last', tree_of(job))
    call('UNLINK', dropped_key(job.id))
    if to ~= 'succeeded' then fell(job.id) end
  end
  return was
end

-- End a job of which no worker will tell the end; a beat counts it.
local function terminate_unheld(job, to, now, set)
  call('HINCRBY', P .. 'uncounted', pair_of(job) .. '/' .. to, 1)
  return terminate(job, to, now, set)
end

-- End a job in its worker's stead: the token goes, so that a verdict that comes after all hears it is too late.
local function terminate_lost(job, to, now, set)
  call('HDEL', job_key(job.id), 'token')
  return terminate_unheld(job, to, now, set)
end

-- Back to the queue under the next attempt, or to the schedule if it is `due` at a time (ms): the token goes, so that the
-- old attempt can write nothing more.
local function requeue(job, now, used, set, due)
  call('SREM', P .. 'leased:' .. job.worker, job.id)
  call('HDEL', job_key(job.id), 'token', 'worker', 'started_at', 'progress')
  set.attempt, set.used, set.progress = job.attempt + 1, used, nil
  set.attempt_firsts = job.attempt_firsts .. ',' .. (job.log_last + 1)
  set.scheduled_at = due and whole(due) or nil
  local was = step(job, due and 'scheduled' or 'queued', now, set)
  job.token, job.worker, job.started_at, job.progress = false, false, false, false
  if due then
    call('ZADD', P .. 'scheduled', whole(due), job.id)
  else
    make_ready(job)
    wake(job)
  end
  give_up_place(job)
  return was
end

-- Whether a tick of a schedule is still to be handed in.
local function is_new_tick(schedule, tick)
  local last = tonumber(call('HGET', P .. 'schedules', schedule))
  return not last or tick > last
end

-- Make a worker unknown to submits: nothing wakes it any more.
local function delist(worker)
  local known = call('HGET', P .. 'workers', worker)
  if not known then return end
  for _, lane in ipairs(cmsgpack.unpack(known)) do
    local signature, serves = lane[1], lane[2]
    call('SREM', P .. 'idle:' .. signature, worker)
    call('SREM', P .. 'members:' .. signature, worker)
    if call('EXISTS', P .. 'members:' .. signature) == 0 then
      for _, pair in ipairs(serves) do call('SREM', P .. 'serves:' .. pair, signature) end
    end
  end
  call('HDEL', P .. 'workers', worker)
end

-- Remove every trace of an ended job. Answers what is announced of that.
local function forget(job)
  reindex(job, job.state, nil)
  drop_cached(job)
  call('ZREM', P .. 'ended', job.id)
  local rec = record(job, job.state)
  call('UNLINK', job_key(job.id), P .. 'log:' .. job.id, P .. 'tree:' .. job.id, kept_key(job.id))
  if job.parent then kin[#kin + 1] = {job, job.state, false} end
  rec[3] = 'gone'
  return {rec, false, false, false}
end
