-- Take back the jobs of a worker that is gone, and forget the worker when it holds none any more.
-- ARGV: worker; the counter it was last seen at, or '' to take them whatever it says (its own farewell, or the owner of
--       an embedded store at start); most jobs per call
-- Answers {code, requeued, ended, left}: 'alive' (it has beaten since; nothing was done) or 'ok'; call again while left.
local worker, seen, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
if seen ~= '' and call('HGET', P .. 'beats', worker) ~= seen then return {'alive', 0, 0, 0} end
write_even_when_full()
local key, now = P .. 'leased:' .. worker, now_ms()
local items, requeued, ended = {}, 0, 0

-- Answers the state the job came from, and its packed error where that ends it.
local function lost(job)
  if job.state == 'running' and job.used + 1 < job.max_attempts then
    requeued = requeued + 1
    return requeue(job, now, job.used + 1, {}), false
  end
  ended = ended + 1
  if job.state == 'cancelling' then return terminate_lost(job, 'cancelled', now, {}), false end
  local outcome = cmsgpack.pack({code = 'worker_lost',
    message = 'the worker ' .. worker .. ' was lost, and with it the last of ' .. job.max_attempts .. ' attempts'})
  return terminate_lost(job, 'failed', now, {error = outcome}), outcome
end

for _, id in ipairs(call('SMEMBERS', P .. 'opening:' .. worker)) do close_group(id) end  -- nobody adds to them any more
call('UNLINK', P .. 'opening:' .. worker)
for _, id in ipairs(call('SRANDMEMBER', key, most)) do
  local job = load(id)
  if job and job.worker == worker and is_held(job) then
    local was, outcome = lost(job)
    items[#items + 1] = {record(job, was), false, false, outcome}
  else
    call('SREM', key, id)
  end
end
publish(items)

local left = call('SCARD', key)
if left == 0 then
  delist(worker)
  call('HDEL', P .. 'beats', worker)
  call('HDEL', P .. 'nodes', worker)
  call('UNLINK', P .. 'claim:' .. worker)
end
return {'ok', requeued, ended, left}
