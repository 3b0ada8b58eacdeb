-- Put in front of every script by server/broker/script.py: the keys of the store, and the steps scripts share.
--
-- KEYS[1]  '{namespace}', the hash tag that all keys share; a Cluster serves it as one shard.
--
-- Keys, each after '{namespace}:'
--   store            name of this store (random); another name means other data
--   seq, order       counters: messages published; jobs enqueued
--   job:ID           hash: one job (FIELDS below, and token worker used order timeout args result error log_bytes)
--   log:ID           stream OFFSET-0 -> e (packed entry) or g (a gap: offsets g .. OFFSET were lost)
--   index:STATE:DIM  sorted set, all scores 0, of job ids; DIM is all, task:T, queue:Q or tag:T
--   ready            set of QUEUE/TASK that have jobs waiting;  ready:QUEUE/TASK  sorted set of their ids
--   scheduled        sorted set of ids by due time (ms);  ended  sorted set of ids by end (ms)
--   leased:WORKER    set of ids that a worker holds
--   beats, nodes     hashes by process id: beat counter; packed description
--   workers          hash by worker id: packed list of its lanes {signature, QUEUE/TASK pairs, queues may be '*'}
--   serves:PAIR      set of signatures that serve a QUEUE/TASK;  members:SIGNATURE  set of its workers
--   idle:SIGNATURE   set of its workers that found less than they asked for
--   claim:WORKER     hash by signature: packed {request, ids} of the last claim, so that a repeated call answers the same
-- Channels: events (every change of every job), worker:WORKER (claim SIGNATURE, cancel ID, beat: for one process)

local P = KEYS[1] .. ':'
local call = redis.call

local FIELDS = {'state', 'attempt', 'version', 'log_last', 'task', 'queue', 'tags', 'fixed', 'created_at',
  'scheduled_at', 'started_at', 'finished_at', 'updated_at', 'node', 'progress', 'warnings', 'attempt_firsts'}

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A write that needs no memory. After it Redis lets the script write though memory is full (the check is made at the
-- first write only), so that beats, ends and clean-up go on where submits are refused.
local function write_even_when_full()
  call('DEL', P .. 'nothing')
end

local function job_key(id) return P .. 'job:' .. id end
local function pair_of(queue, task) return queue .. '/' .. task end

-- What is announced of a job: its id, the state it came from, and its FIELDS.
local function record(id, was)
  local values = call('HMGET', job_key(id), unpack(FIELDS))
  local out = {id, was or ''}
  for i = 1, #FIELDS do out[i + 2] = values[i] end
  return out
end

-- Publish records as one message, numbered so that a listener sees what it missed. Items are {record, first, entries,
-- outcome}: the log entries stored by this step, and the packed outcome of an ended job; both false when absent.
local function publish(items)
  if #items > 0 then
    call('PUBLISH', P .. 'events', cmsgpack.pack({call('INCR', P .. 'seq'), items}))
  end
end

local function dimensions(job)
  local dims = {'all', 'task:' .. job.task, 'queue:' .. job.queue}
  if job.tags and job.tags ~= '' then
    for tag in string.gmatch(job.tags, '[^\n]+') do dims[#dims + 1] = 'tag:' .. tag end
  end
  return dims
end

local function reindex(id, job, from, to)
  for _, dim in ipairs(dimensions(job)) do
    if from then call('ZREM', P .. 'index:' .. from .. ':' .. dim, id) end
    if to then call('ZADD', P .. 'index:' .. to .. ':' .. dim, 0, id) end
  end
end

-- The part of a job that steps need. nil when there is no such job.
local function load(id)
  local v = call('HMGET', job_key(id), 'state', 'token', 'worker', 'version', 'attempt', 'used', 'max_attempts',
    'task', 'queue', 'tags', 'priority', 'order', 'log_last', 'log_bytes', 'attempt_firsts')
  if not v[1] then return nil end
  return {state = v[1], token = v[2], worker = v[3], version = tonumber(v[4]), attempt = tonumber(v[5]),
    used = tonumber(v[6]), max_attempts = tonumber(v[7]), task = v[8], queue = v[9], tags = v[10],
    priority = tonumber(v[11]), order = tonumber(v[12]), log_last = tonumber(v[13]), log_bytes = tonumber(v[14]),
    attempt_firsts = v[15]}
end

-- max(stored + 1, now): never back, even when the tail of the data was lost.
local function next_version(job, now)
  job.version = math.max(job.version + 1, now)
  return job.version
end

-- Write one step of a job: state, version, time and the fields given; move it between the indexes.
local function step(id, job, to, now, ...)
  local from = job.state
  call('HSET', job_key(id), 'state', to, 'version', next_version(job, now), 'updated_at', now, ...)
  if from ~= to then reindex(id, job, from, to) end
  job.state = to
  return from
end

-- Lower is sooner: priority first, then the order of submission; exact in a double.
local function rank_of(job)
  return (10 - job.priority) * 35184372088832 + job.order
end

local function make_ready(id, job)
  local pair = pair_of(job.queue, job.task)
  if call('ZADD', P .. 'ready:' .. pair, rank_of(job), id) == 1 then call('SADD', P .. 'ready', pair) end
end

local function unready(id, pair)
  call('ZREM', P .. 'ready:' .. pair, id)
  if call('EXISTS', P .. 'ready:' .. pair) == 0 then call('SREM', P .. 'ready', pair) end
end

-- Wake one idle worker that serves the job, if there is one. Only that worker claims, so that fifty idle workers do
-- not all come for one job. A wake-up that is lost is made good by the next beat of any worker.
local function wake(job)
  for _, queue in ipairs({job.queue, '*'}) do
    for _, signature in ipairs(call('SMEMBERS', P .. 'serves:' .. pair_of(queue, job.task))) do
      local worker = call('SPOP', P .. 'idle:' .. signature)
      if worker then
        call('PUBLISH', P .. 'worker:' .. worker, cmsgpack.pack({'claim', signature}))
        return
      end
    end
  end
end

local function enter_ended(id, now)
  call('ZADD', P .. 'ended', now, id)
end

-- The token of an ended job stays: a finish that is sent twice is known by it.
local function terminate(id, job, to, now, outcome_field, outcome)
  local more = {'finished_at', now}
  if outcome_field then more = {'finished_at', now, outcome_field, outcome} end
  if job.worker then call('SREM', P .. 'leased:' .. job.worker, id) end
  local was = step(id, job, to, now, unpack(more))
  enter_ended(id, now)
  return was
end

-- Back to the queue under the next attempt: the token goes, so that the old attempt can write nothing more.
local function requeue(id, job, now, used)
  call('SREM', P .. 'leased:' .. job.worker, id)
  call('HDEL', job_key(id), 'token', 'worker', 'started_at', 'progress')
  local was = step(id, job, 'queued', now, 'attempt', job.attempt + 1, 'used', used,
    'attempt_firsts', job.attempt_firsts .. ',' .. (job.log_last + 1))
  make_ready(id, job)
  return was
end

-- Delete whatever the log has over its limits, oldest first, in steps, down to nine tenths.
local function trim_log(id, job, keep, keep_bytes)
  local key = P .. 'log:' .. id
  local count = call('XLEN', key)
  if count <= keep and job.log_bytes <= keep_bytes then return end
  keep, keep_bytes = math.floor(keep * 0.9), math.floor(keep_bytes * 0.9)
  while count > 1 and (count > keep or job.log_bytes > keep_bytes) do
    local head = call('XRANGE', key, '-', '+', 'COUNT', 200)
    local keep_from = (string.match(head[#head][1], '^%d+') + 1) .. '-0'
    for _, entry in ipairs(head) do
      if count <= 1 or (count <= keep and job.log_bytes <= keep_bytes) then keep_from = entry[1] break end
      count = count - 1
      if entry[2][1] == 'e' then job.log_bytes = job.log_bytes - #entry[2][2] end
    end
    call('XTRIM', key, 'MINID', keep_from)
  end
end

-- Append the log entries of a report. Answers 'ok' and how many were new, or 'hole': then the store lacks offsets
-- before `first`, and nothing was written. Entries the store has already are passed over, so a report may come twice.
-- `lost`: what the store lacks before `first` is gone for good and is stored as a gap.
local function append_log(id, job, first, entries, lost, keep, keep_bytes)
  local key = P .. 'log:' .. id
  if lost and first > job.log_last + 1 then
    call('XADD', key, (first - 1) .. '-0', 'g', job.log_last + 1)
    job.log_last = first - 1
  end
  if #entries == 0 then return 'ok', 0 end
  if first > job.log_last + 1 then return 'hole', 0 end
  local added = 0
  for i = job.log_last - first + 2, #entries do
    local offset = first + i - 1
    call('XADD', key, offset .. '-0', 'e', entries[i])
    job.log_last = offset
    job.log_bytes = job.log_bytes + #entries[i]
    added = added + 1
  end
  if added > 0 then trim_log(id, job, keep, keep_bytes) end
  return 'ok', added
end

-- The entries added, for the announcement; false (the listener reads them itself) when they are heavy.
local function announced(first, entries, added)
  if added == 0 then return false, false end
  local size, new = 0, {}
  for i = #entries - added + 1, #entries do
    size = size + #entries[i]
    if size > 8192 then return false, false end
    new[#new + 1] = entries[i]
  end
  return first + #entries - added, new
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

-- Remove every trace of an ended job.
local function forget(id, job)
  reindex(id, job, job.state, nil)
  call('ZREM', P .. 'ended', id)
  call('UNLINK', job_key(id), P .. 'log:' .. id)
end
