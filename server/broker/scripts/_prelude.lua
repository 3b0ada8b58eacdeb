-- Put in front of every script by server/broker/script.py: the keys of the store, and the steps scripts share.
--
-- KEYS[1]  '{namespace}', the hash tag that all keys share; a Cluster serves it as one shard.
--
-- Keys, each after '{namespace}:'
--   store            name of this store (random); another name means other data
--   seq, order       counters: messages published; jobs enqueued
--   job:ID           hash: one job: FIELDS below, args, timeout, result, result_bytes, error
--   log:ID           stream OFFSET-0 -> e (packed entry) or g (a gap: offsets g .. OFFSET were lost)
--   index:STATE:DIM  sorted set, all scores 0, of job ids; DIM is all, task:T, queue:Q or tag:T
--   ready            set of QUEUE/TASK that have jobs waiting;  ready:QUEUE/TASK  sorted set of their ids
--   scheduled        sorted set of ids by due time (ms);  ended  sorted set of ids by end (ms)
--   leased:WORKER    set of ids that a worker holds
--   beats, nodes     hashes by process id: beat counter; packed description
--   workers          hash by worker id: packed list of its lanes {signature, QUEUE/TASK pairs, queues may be '*'}
--   serves:PAIR      set of signatures that serve a QUEUE/TASK;  members:SIGNATURE  set of its workers
--   idle:SIGNATURE   set of its workers that found less than they asked for
--   watched:ID       string that expires: somebody looks at the job
--   claim:WORKER     hash by signature: packed {request, ids} of the last claim, so that a repeated call answers the same
-- Channels: events (every change of every job), worker:WORKER (claim SIGNATURE, cancel ID, watch IDS, beat)

local P = KEYS[1] .. ':'
local call = redis.call

-- What steps need of a job and what is announced of it. `fixed` never changes: packed {task, queue, tags, priority,
-- max_attempts, rerun_of}. A field that is not there: attempt and attempt_firsts are 1; used, log_last, log_bytes are 0.
local FIELDS = {'fixed', 'state', 'attempt', 'version', 'log_last', 'created_at', 'scheduled_at', 'started_at',
  'finished_at', 'updated_at', 'node', 'progress', 'warnings', 'attempt_firsts', 'token', 'worker', 'used', 'order',
  'log_bytes'}

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A whole number as text. Redis formats every number it is handed anew, and slowly; a time is written many times.
local texts = {}
local function whole(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end

-- A write that needs no memory. After it Redis lets the script write though memory is full (the check is made at the
-- first write only), so that beats, ends and clean-up go on where submits are refused.
local function write_even_when_full()
  call('DEL', P .. 'nothing')
end

local function job_key(id) return P .. 'job:' .. id end
local function pair_of(job) return job.queue .. '/' .. job.task end
local function is_held(job) return job.state == 'running' or job.state == 'cancelling' end
local function has_ended(job) return job.state == 'succeeded' or job.state == 'failed' or job.state == 'cancelled' end

-- A job as a table; nil when there is none. What is unset is false.
local function load(id)
  local v = call('HMGET', job_key(id), unpack(FIELDS))
  if not v[1] then return nil end
  local fixed = cmsgpack.unpack(v[1])
  return {id = id, fixed = v[1], task = fixed[1], queue = fixed[2], tags = fixed[3], priority = fixed[4],
    max_attempts = fixed[5], state = v[2], attempt = tonumber(v[3]) or 1, version = tonumber(v[4]),
    log_last = tonumber(v[5]) or 0, created_at = v[6], scheduled_at = v[7], started_at = v[8], finished_at = v[9],
    updated_at = v[10], node = v[11], progress = v[12], warnings = v[13], attempt_firsts = v[14] or '1',
    token = v[15], worker = v[16], used = tonumber(v[17]) or 0, order = tonumber(v[18]),
    log_bytes = tonumber(v[19]) or 0}
end

-- What is announced of a job, and the state it came from: server/broker/record.py reads it.
local function record(job, was)
  return {job.id, was or '', job.state, job.fixed, job.attempt, job.version, job.log_last, job.created_at,
    job.scheduled_at, job.started_at, job.finished_at, job.updated_at, job.node, job.progress, job.warnings,
    job.attempt_firsts}
end

-- Publish records as one message, numbered so that a listener sees what it missed. Items are {record, first, entries,
-- outcome}: the log entries stored by this step, and the packed outcome of an ended job; both false when absent.
local function publish(items)
  if #items > 0 then
    call('PUBLISH', P .. 'events', cmsgpack.pack({call('INCR', P .. 'seq'), items}))
  end
end

local function reindex(job, from, to)
  from, to = from and P .. 'index:' .. from .. ':', to and P .. 'index:' .. to .. ':'
  local function move(dim)
    if from then call('ZREM', from .. dim, job.id) end
    if to then call('ZADD', to .. dim, '0', job.id) end
  end
  move('all')
  move('task:' .. job.task)
  move('queue:' .. job.queue)
  for _, tag in ipairs(job.tags) do move('tag:' .. tag) end
end

-- Write one step of a job: its state, its version, the time, and the fields in `set`; move it between the indexes.
-- The version is max(stored + 1, now): never back, even when the tail of the data was lost.
local function step(job, to, now, set)
  local from = job.state
  job.state, job.version, job.updated_at = to, math.max(job.version + 1, now), whole(now)
  local flat = {'state', to, 'version', whole(job.version), 'updated_at', job.updated_at}
  for name, value in pairs(set) do
    job[name] = value
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  call('HSET', job_key(job.id), unpack(flat))
  if from ~= to then reindex(job, from, to) end
  return from
end

-- Lower is sooner: priority first, then the order of submission; exact in a double.
local function rank_of(job)
  return (10 - job.priority) * 35184372088832 + job.order
end

local listed = {}  -- pairs this script has put into `ready`

local function make_ready(job)
  local pair = pair_of(job)
  call('ZADD', P .. 'ready:' .. pair, rank_of(job), job.id)
  if not listed[pair] then
    call('SADD', P .. 'ready', pair)
    listed[pair] = true
  end
end

local nobody = {}  -- pairs this script has found no idle worker for

-- Wake one idle worker that serves the job, if there is one. Only that worker claims, so that fifty idle workers do
-- not all come for one job. A wake-up that is lost is made good by the next beat of any worker.
local function wake(job)
  local pair = pair_of(job)
  if nobody[pair] then return end
  for _, serves in ipairs({pair, '*/' .. job.task}) do
    for _, signature in ipairs(call('SMEMBERS', P .. 'serves:' .. serves)) do
      local worker = call('SPOP', P .. 'idle:' .. signature)
      if worker then
        call('PUBLISH', P .. 'worker:' .. worker, cmsgpack.pack({'claim', signature}))
        return
      end
    end
  end
  nobody[pair] = true
end

-- The token of a job that its worker has ended stays: a finish that is sent twice is known by it.
local function terminate(job, to, now, set)
  if job.worker then call('SREM', P .. 'leased:' .. job.worker, job.id) end
  set.finished_at = whole(now)
  local was = step(job, to, now, set)
  call('ZADD', P .. 'ended', whole(now), job.id)
  return was
end

-- End a job in its worker's stead: the token goes, so that a verdict that comes after all hears it is too late.
local function terminate_lost(job, to, now, set)
  call('HDEL', job_key(job.id), 'token')
  return terminate(job, to, now, set)
end

-- Back to the queue under the next attempt: the token goes, so that the old attempt can write nothing more.
local function requeue(job, now, used, set)
  call('SREM', P .. 'leased:' .. job.worker, job.id)
  call('HDEL', job_key(job.id), 'token', 'worker', 'started_at', 'progress')
  set.attempt, set.used = job.attempt + 1, used
  set.attempt_firsts = job.attempt_firsts .. ',' .. (job.log_last + 1)
  local was = step(job, 'queued', now, set)
  job.token, job.worker, job.started_at, job.progress = false, false, false, false
  make_ready(job)
  wake(job)
  return was
end

-- Delete whatever the log has over its limits, oldest first, in steps, down to nine tenths.
local function trim_log(job, keep, keep_bytes)
  local key = P .. 'log:' .. job.id
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

-- Redis may come back with half of a script's writes: log entries of which the job's fields do not tell. Take them as
-- stored; they are this runner's own, for only a newer attempt changes offsets, and its token goes with the fields.
local function adopt_torn_log(job, set)
  local top = call('XREVRANGE', P .. 'log:' .. job.id, '+', '-', 'COUNT', 1)[1]
  local offset = top and tonumber(string.match(top[1], '^%d+')) or 0
  if offset > job.log_last then
    job.log_last = offset
    set.log_last = offset
  end
end

-- Append the log entries of a report, and note in `set` what that changes in the job. Answers 'ok' and how many were
-- new, or 'hole': then the store lacks offsets before `first`, and nothing was written. Entries the store has already
-- are passed over, so a report may come twice. `lost`: what the store lacks between `known` and `first` is gone for good
-- and is stored as a gap.
local append_log
function append_log(job, set, first, entries, lost, known, keep, keep_bytes)
  local key, added = P .. 'log:' .. job.id, 0
  if job.log_last < known then adopt_torn_log(job, set) end
  if first > job.log_last + 1 then
    if not lost or job.log_last < known then return 'hole', 0 end
    call('XADD', key, (first - 1) .. '-0', 'g', job.log_last + 1)
    job.log_last = first - 1
    set.log_last = job.log_last
  end
  for i = job.log_last - first + 2, #entries do
    local offset = first + i - 1
    local answer = redis.pcall('XADD', key, offset .. '-0', 'e', entries[i])
    if type(answer) == 'table' and answer.err then
      adopt_torn_log(job, set)
      if job.log_last < offset then error(answer.err) end
      return append_log(job, set, first, entries, lost, known, keep, keep_bytes)
    end
    job.log_last = offset
    job.log_bytes = job.log_bytes + #entries[i]
    added = added + 1
  end
  if added > 0 then
    trim_log(job, keep, keep_bytes)
    set.log_last, set.log_bytes = job.log_last, job.log_bytes
  end
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

-- Remove every trace of an ended job. Answers what is announced of that.
local function forget(job)
  reindex(job, job.state, nil)
  call('ZREM', P .. 'ended', job.id)
  call('UNLINK', job_key(job.id), P .. 'log:' .. job.id)
  local rec = record(job, job.state)
  rec[3] = 'gone'
  return {rec, false, false, false}
end
