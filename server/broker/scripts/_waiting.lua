-- Behind _prelude.lua in every script: where jobs wait until they are claimed, who is woken for them, and limits.
--
-- A job of a task with a limit has a place (`holding`) from claim to end or requeue. One that is ready though its limit is
-- full goes to those the limit holds back (`waiting`), so that claims do not look at them again and again.

-- Lower is sooner: priority first, then the order of submission; exact in a double.
local function rank_of(job)
  return (10 - job.priority) * 35184372088832 + job.order
end

local listed = {}  -- pairs this script has put into `ready`

local function list(job)
  local pair = pair_of(job)
  call('ZADD', P .. 'ready:' .. pair, rank_of(job), job.id)
  if not listed[pair] then
    call('SADD', P .. 'ready', pair)
    listed[pair] = true
  end
end

local mosts = {}  -- by task: how many of its jobs may run at once

-- Whether as many jobs run under a job's limit as may. Only jobs that run count, so that one nobody can run, because no
-- worker serves its queue, keeps no other from running.
local function is_full(job)
  if not job.limit then return false end
  if not mosts[job.task] then mosts[job.task] = tonumber(call('HGET', P .. 'limits', job.task)) or math.huge end
  return call('SCARD', P .. 'holding:' .. job.limit) >= mosts[job.task]
end

-- Out of the way of claims until `let_in`. It holds at all times: while a limit that is not full holds jobs back, another
-- of its jobs is ready, and when that one is claimed or goes, the next is let in.
local function hold_back(job)
  call('ZADD', P .. 'waiting:' .. job.limit, rank_of(job), job.id)
  call('SADD', P .. 'waiting', job.limit)
end

local function let_go(limit, id)
  call('ZREM', P .. 'waiting:' .. limit, id)
  if call('EXISTS', P .. 'waiting:' .. limit) == 0 then call('SREM', P .. 'waiting', limit) end
end

-- To where claims look, or to those that its limit holds back: `wake` passes those over.
local function make_ready(job)
  job.held_back = is_full(job)
  if job.held_back then hold_back(job) else list(job) end
end

local nobody = {}  -- pairs this script has found no idle worker for

-- Wake one idle worker that serves the job, if there is one. Only that worker claims, so that fifty idle workers do
-- not all come for one job. A wake-up that is lost is made good by the next beat of any worker.
local function wake(job)
  local pair = pair_of(job)
  if job.held_back or nobody[pair] then return end
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

-- A job that runs and wants its place again, having waited for its children, has it before any that is to begin.
local function take_up(limit)
  while true do
    local id = call('ZRANGE', P .. 'resuming:' .. limit, 0, 0)[1]
    local job = id and load(id)
    if not id or (job and is_full(job)) then return id end
    call('ZREM', P .. 'resuming:' .. limit, id)
    if job and is_held(job) then
      call('SADD', P .. 'holding:' .. limit, id)
      call('PUBLISH', P .. 'worker:' .. job.worker, cmsgpack.pack({'place', id}))
    end
  end
end

-- Make the first job that a limit holds back ready, if there is room. Answers whether there was one.
local function let_in(limit)
  if take_up(limit) then return false end
  while true do
    local id = call('ZRANGE', P .. 'waiting:' .. limit, 0, 0)[1]
    local job = id and load(id)
    if not id or (job and is_full(job)) then return false end
    let_go(limit, id)
    if job and job.state == 'queued' then
      list(job)
      wake(job)
      return true
    end
  end
end

-- A job runs no more, or is not ready any more: another may have its place.
local function give_up_place(job)
  if not job.limit then return end
  call('SREM', P .. 'holding:' .. job.limit, job.id)
  call('ZREM', P .. 'resuming:' .. job.limit, job.id)
  let_in(job.limit)
end

-- Out of all sets in which a job waits.
local function unlist(job)
  local pair = pair_of(job)
  call('ZREM', P .. 'scheduled', job.id)
  call('ZREM', P .. 'ready:' .. pair, job.id)
  if call('EXISTS', P .. 'ready:' .. pair) == 0 then call('SREM', P .. 'ready', pair) end
  if job.limit then let_go(job.limit, job.id) end
end
