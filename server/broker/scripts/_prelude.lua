-- Put in front of every script by server/broker/script.py, with _waiting, _steps, _trees and _log behind it: the keys of
-- the store, how a job is read and written, and how that is announced.
--
-- KEYS[1]  '{namespace}', the hash tag that all keys share; a Cluster serves it as one shard.
--
-- Keys, each after '{namespace}:'
--   store            name of this store (random); another name means other data
--   seq, order       counters: messages published; jobs enqueued
--   job:ID           hash: one job: FIELDS below, args, timeout, result, result_bytes, error, checkpoint
--   log:ID           stream OFFSET-0 -> e (packed entry) or g (a gap: offsets g .. OFFSET were lost)
--   kept:ID          hash: what was found out about a job: stack:ATTEMPT (of a warning), profiles (how many
--                    there were), and of those that are kept head:N, tree:N, pstats:N
--   asked:WORKER     list that expires: packed {id, question, number} that its loop may not have heard
--   index:STATE:DIM  sorted set, all scores 0, of job ids; DIM is all, task:T, queue:Q, tag:T or
--                    parent:ID, of whom they are children
--   tree:ID          hash of a job that has children: weight of all; done: weight of those that have ended; bar: weight
--                    done as last told, parts of running ones included; top: the highest fraction told; told: when (ms);
--                    open: a group that still takes jobs in; gone_STATE: ended children that were deleted; last: of an
--                    ended job, what its record says of them
--   dropped:ID       set of ids of children that were deleted, or expired, while this job of theirs had not ended
--   rolling          set of ids whose children have moved since they were last told of
--   felling          set of ids whose children are to be cancelled
--   opening:PROCESS  set of ids of the groups that a process takes jobs in for
--   resuming:LIMIT   sorted set of ids, by rank: they run, had given up their place to wait for children, want it again
--   ready            set of QUEUE/TASK that have jobs waiting;  ready:QUEUE/TASK  sorted set of their ids
--   scheduled        sorted set of ids by due time (ms);  ended  sorted set of ids by end (ms)
--   limits           hash by task: how many of its jobs may run at once, as the last claim for it said
--   holding:LIMIT    set of ids that run under a limit; LIMIT is TASK, or TASK/DIGEST of the values of its key
--   waiting:LIMIT    sorted set of queued ids that it holds back, by rank;  waiting  set of LIMITs that hold any back
--   schedules        hash by schedule: time (ms) of its last tick that was handed in
--   leased:WORKER    set of ids that a worker holds
--   beats, nodes     hashes by process id: beat counter; packed description
--   workers          hash by worker id: packed list of its lanes {signature, QUEUE/TASK pairs, queues may be '*'}
--   serves:PAIR      set of signatures that serve a QUEUE/TASK;  members:SIGNATURE  set of its workers
--   idle:SIGNATURE   set of its workers that found less than they asked for
--   took:TASK        list that expires: how long (ms) jobs of a task took that succeeded, latest first; some of them
--   submitted:KEY    string that expires: id of the job an idempotency key was used for, and what was submitted with it
--   unique:TASK:HASH string: id of the job that others with the same arguments join
--   cached:TASK:HASH string that expires: id of the job whose result answers others with the same arguments
--   watched:ID       string that expires: somebody looks at the job
--   claim:WORKER     hash by signature: packed {request, ids} of the last claim, so that a repeated call answers the same
--   uncounted        hash by QUEUE/TASK/STATE: jobs ended without a worker's verdict, since a beat took them into its counts
--   recovering       string that expires: the store has gone back, and runners tell it again what they hold
-- Channels: events (every change of every job), worker:WORKER (claim SIGNATURE, cancel ID, watch IDS, place ID,
-- children {ID, list of {child, state}}, ask, beat; to any process: answer)

local P = KEYS[1] .. ':'
local call = redis.call

-- What steps need of a job and what is announced of it. `fixed` never changes: packed {task, queue, tags, priority,
-- max_attempts, rerun_of, its LIMIT if it has one, and of a child: its parent, weight, depth}. `used` counts attempts that were lost with their worker, `retried`
-- those that raised and were followed by another. `once` is what makes other jobs the same: packed {HASH of the unique
-- arguments or false, HASH of those whose result is cached or false, how long it answers (ms)}. `tree` is yes on a job
-- that has (had) children, group on a group: no worker holds it, it runs until its children have ended. A field that is not
-- there: attempt and attempt_firsts are 1; used, retried, log_last, log_bytes are 0.
local FIELDS = {'fixed', 'state', 'attempt', 'version', 'log_last', 'created_at', 'scheduled_at', 'started_at',
  'finished_at', 'updated_at', 'node', 'progress', 'warnings', 'attempt_firsts', 'token', 'worker', 'used', 'order',
  'log_bytes', 'once', 'retried', 'tree'}

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

-- A store that somebody has seen under another name, or further on, was restored or has lost its tail.
local function note_recovery(store, seq, ms)
  if store == '' then return end
  if store ~= call('GET', P .. 'store') or tonumber(seq) > tonumber(call('GET', P .. 'seq') or 0) then
    call('SET', P .. 'recovering', 1, 'PX', ms)
  end
end

local function job_key(id) return P .. 'job:' .. id end
local function kept_key(id) return P .. 'kept:' .. id end
local function pair_of(job) return job.queue .. '/' .. job.task end
local function is_held(job) return job.state == 'running' or job.state == 'cancelling' end
local function has_ended(job) return job.state == 'succeeded' or job.state == 'failed' or job.state == 'cancelled' end

-- A job as a table; nil when there is none. What is unset is false.
local function load(id)
  local v = call('HMGET', job_key(id), unpack(FIELDS))
  if not v[1] then return nil end
  local fixed = cmsgpack.unpack(v[1])
  return {id = id, fixed = v[1], task = fixed[1], queue = fixed[2], tags = fixed[3], priority = fixed[4],
    max_attempts = fixed[5], limit = fixed[7] or false,
    parent = fixed[8] or false, weight = fixed[9], state = v[2], attempt = tonumber(v[3]) or 1, version = tonumber(v[4]),
    log_last = tonumber(v[5]) or 0, created_at = v[6], scheduled_at = v[7], started_at = v[8], finished_at = v[9],
    updated_at = v[10], node = v[11], progress = v[12], warnings = v[13], attempt_firsts = v[14] or '1',
    token = v[15], worker = v[16], used = tonumber(v[17]) or 0, order = tonumber(v[18]),
    log_bytes = tonumber(v[19]) or 0, once = v[20],
    retried = tonumber(v[21]) or 0, tree = v[22]}
end

local kin = {}  -- what this script did to children: {child, state before or false, state now or false}
local felling = false  -- whether there are children to cancel
local look_after_trees, tree_of  -- in _trees.lua

-- What is announced of a job, and the state it came from: server/broker/record.py reads it. A parent's has one item more.
local function record(job, was)
  local rec = {job.id, was or '', job.state, job.fixed, job.attempt, job.version, job.log_last, job.created_at,
    job.scheduled_at, job.started_at, job.finished_at, job.updated_at, job.node, job.progress, job.warnings,
    job.attempt_firsts}
  if job.tree then rec[17] = tree_of(job) end
  return rec
end

-- Entries of sorted sets that are written by `publish`, at the end: one command for many jobs costs a fraction of one for
-- each. What reads such a set in a script that has moved jobs (their counts, say) calls `write_noted` before.
local added, removed, moved = {}, {}, {}

local function note(lists, key, score, member)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  if score then list[#list + 1] = score end
  list[#list + 1] = member
end

local function write_noted()
  for command, lists in pairs({ZADD = added, ZREM = removed}) do
    for key, list in pairs(lists) do
      for first = 1, #list, 4000 do call(command, key, unpack(list, first, math.min(#list, first + 3999))) end
    end
  end
  added, removed, moved = {}, {}, {}
end

-- Publish records as one message, numbered so that a listener sees what it missed. Items are {record, first, entries,
-- outcome}: the log entries stored by this step, and the packed outcome of an ended job; both false when absent.
local function publish(items)
  write_noted()
  if felling or #kin > 0 then look_after_trees(items) end
  if #items > 0 then
    call('PUBLISH', P .. 'events', cmsgpack.pack({call('INCR', P .. 'seq'), items}))
  end
end

-- Move a job between the indexes, with `publish`.
local function reindex(job, from, to)
  if moved[job.id] then write_noted() end
  moved[job.id] = true
  from, to = from and P .. 'index:' .. from .. ':', to and P .. 'index:' .. to .. ':'
  local function move(dim)
    if from then note(removed, from .. dim, nil, job.id) end
    if to then note(added, to .. dim, '0', job.id) end
  end
  move('all')
  move('task:' .. job.task)
  move('queue:' .. job.queue)
  for _, tag in ipairs(job.tags) do move('tag:' .. tag) end
  if job.parent then move('parent:' .. job.parent) end
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
  if job.parent then kin[#kin + 1] = {job, from, to} end
  return from
end
