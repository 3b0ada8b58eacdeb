-- Give a worker the jobs back that it holds, after the store may have gone back: to an older copy, or to nothing.
-- ARGV: worker, its node's name, name of the store and sequence number as it saw them last, packed list of {id, token,
--       attempt, attempt_firsts, fixed, args, timeout or false, created_at, scheduled_at or false, version}
-- Answers a packed list: 'ok' (the job is held under this token, perhaps from now on), 'ended' (this attempt has),
-- 'fenced' (a newer attempt or another's end stands; nothing was done) or 'gone'.
-- A job that waits, or is held, at this attempt's number or an earlier one without its token was set back: nothing else
-- leads there. An unknown one may have been deleted; it is made again only where the store has provably gone back.
local worker, node, now = ARGV[1], ARGV[2], now_ms()
write_even_when_full()
local back = call('GET', P .. 'store') ~= ARGV[3] or tonumber(call('GET', P .. 'seq') or 0) < tonumber(ARGV[4])

local function unlist(job)
  local pair = pair_of(job)
  call('ZREM', P .. 'scheduled', job.id)
  call('ZREM', P .. 'ready:' .. pair, job.id)
  if call('EXISTS', P .. 'ready:' .. pair) == 0 then call('SREM', P .. 'ready', pair) end
  if job.worker then call('SREM', P .. 'leased:' .. job.worker, job.id) end
end

local function unknown(id, fixed, args, timeout, created, scheduled, version)
  local what = cmsgpack.unpack(fixed)
  call('HSET', job_key(id), 'fixed', fixed, 'args', args, 'created_at', whole(created), 'order',
    call('INCR', P .. 'order'))
  if timeout then call('HSET', job_key(id), 'timeout', tostring(timeout)) end
  if scheduled then call('HSET', job_key(id), 'scheduled_at', whole(scheduled)) end
  return {id = id, fixed = fixed, task = what[1], queue = what[2], tags = what[3], state = false, version = version,
    log_last = 0, created_at = created, scheduled_at = scheduled, progress = false, warnings = false,
    finished_at = false}
end

local function hold(job, token, attempt, firsts)
  call('SADD', P .. 'leased:' .. worker, job.id)
  return step(job, 'running', now, {token = token, worker = worker, node = node, attempt = attempt,
    started_at = whole(now), attempt_firsts = firsts})
end

local out, items = {}, {}
for i, given in ipairs(cmsgpack.unpack(ARGV[5])) do
  local id, token, attempt, firsts, fixed, args, timeout, created, scheduled, version = unpack(given)
  local job = load(id)
  if not job and not back then
    out[i] = 'gone'
  elseif job and job.token == token then
    out[i] = is_held(job) and 'ok' or 'ended'
  elseif job and (has_ended(job) or job.attempt > attempt or (job.attempt == attempt and is_held(job))) then
    out[i] = 'fenced'
  else
    if job then unlist(job) else job = unknown(id, fixed, args, timeout, created, scheduled, version) end
    local was = hold(job, token, attempt, firsts)
    items[#items + 1] = {record(job, was), false, false, false}
    out[i] = 'ok'
  end
end
publish(items)
return cmsgpack.pack(out)
