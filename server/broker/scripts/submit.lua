-- Store, enqueue and announce new jobs, each once: an id that exists answers what is stored.
-- ARGV: packed list of {id, task, queue, tags joined by \n, priority, max_attempts, fixed, args, timeout_s, delay_ms or
--       false, at ms or false}; most QUEUE/TASK pairs with jobs waiting
-- Answers a packed list: a record each, or 'full' where too many pairs of queue and task have jobs waiting.
local jobs, max_pairs = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local out, items = {}, {}
for i, given in ipairs(jobs) do
  local id, task, queue, tags, priority, max_attempts, fixed, args, timeout, delay, at = unpack(given)
  local pair = pair_of(queue, task)
  if call('EXISTS', job_key(id)) == 1 then
    out[i] = record(id)
  elseif call('SCARD', P .. 'ready') >= max_pairs and call('SISMEMBER', P .. 'ready', pair) == 0 then
    out[i] = 'full'
  else
    local due = (delay and now + delay) or at or false
    local state = (due and due > now) and 'scheduled' or 'queued'
    local job = {task = task, queue = queue, tags = tags, priority = priority, order = call('INCR', P .. 'order')}
    call('HSET', job_key(id), 'state', state, 'attempt', 1, 'used', 0, 'version', now, 'log_last', 0, 'log_bytes', 0,
      'task', task, 'queue', queue, 'tags', tags, 'priority', priority, 'max_attempts', max_attempts,
      'order', job.order, 'fixed', fixed, 'args', args, 'created_at', now, 'updated_at', now, 'attempt_firsts', '1')
    if due then call('HSET', job_key(id), 'scheduled_at', due) end
    if timeout then call('HSET', job_key(id), 'timeout', tostring(timeout)) end
    reindex(id, job, nil, state)
    if state == 'scheduled' then
      call('ZADD', P .. 'scheduled', due, id)
    else
      make_ready(id, job)
      wake(job)
    end
    out[i] = record(id)
    items[#items + 1] = {out[i], false, false, false}
  end
end
publish(items)
return cmsgpack.pack(out)
