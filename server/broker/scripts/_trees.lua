-- Behind _steps.lua in every script: parents and children.
--
-- What a script does to children is noted in `kin` and settled once, when it publishes: what is counted of them, what
-- their parents' workers and watchers are told, groups that have ended, children of parents that have failed. However
-- many children a call is about, a parent is written once, and shown anew every TELL_MS at most; what is held back is
-- told by a beat.

local TELL_MS = 250
local MOST_FELLED = 500  -- children cancelled in one call; more are left to the next, or to a beat
local MOST_PARTS = 500  -- running children whose progress counts in their parent's

local function tree_key(id) return P .. 'tree:' .. id end
local function children_in(state, id) return P .. 'index:' .. state .. ':parent:' .. id end

-- How many children: in all, ended, failed, cancelled, running. Those that were deleted count as they ended.
local function count_children(id)
  write_noted()
  local gone = call('HMGET', tree_key(id), 'gone_succeeded', 'gone_failed', 'gone_cancelled')
  local function count(state, of) return call('ZCARD', children_in(state, id)) + (tonumber(of) or 0) end
  local failed, cancelled = count('failed', gone[2]), count('cancelled', gone[3])
  local ended = count('succeeded', gone[1]) + failed + cancelled
  local running = count('running') + count('cancelling')
  return count('scheduled') + count('queued') + running + ended, ended, failed, cancelled, running
end

-- What a parent's record says of its children: packed counts, weight of all, weight done, highest fraction, whether it
-- is a group. Of one that has ended, as it was then: an end is told once, and is the same for all.
function tree_of(job)
  local last = has_ended(job) and call('HGET', tree_key(job.id), 'last')
  if last then return last end
  local total, ended, failed, cancelled, running = count_children(job.id)
  local v = call('HMGET', tree_key(job.id), 'weight', 'bar', 'top')
  return cmsgpack.pack({total, ended, failed, cancelled, running, tonumber(v[1]) or 0, tonumber(v[2]) or 0,
    tonumber(v[3]) or 0, job.tree == 'group'})
end

-- The weight that a running child has done: by its own bar, or by that of its children.
local function part_done(id)
  local v = call('HMGET', job_key(id), 'fixed', 'progress', 'tree')
  if not v[1] then return 0 end
  local bar = v[2] and cmsgpack.unpack(v[2]) or {}
  local part = bar.fraction or (bar.total and bar.total > 0 and bar.done / bar.total)
  if not part then part = v[3] and tonumber(call('HGET', tree_key(id), 'top')) or 0 end
  return cmsgpack.unpack(v[1])[9] * math.max(0, math.min(1, part))
end

-- Take down how far the children of a job are. The fraction never goes back; while a group takes in jobs it has none.
local function measure(id, now)
  local v = call('HMGET', tree_key(id), 'weight', 'done', 'top', 'open')
  local weight, bar, top = tonumber(v[1]) or 0, tonumber(v[2]) or 0, tonumber(v[3]) or 0
  for _, state in ipairs({'running', 'cancelling'}) do
    for _, child in ipairs(call('ZRANGE', children_in(state, id), 0, MOST_PARTS - 1)) do bar = bar + part_done(child) end
  end
  if weight > 0 and not v[4] then top = math.max(top, math.min(1, bar / weight)) end
  call('HSET', tree_key(id), 'told', whole(now), 'bar', bar, 'top', top)
  call('SREM', P .. 'rolling', id)
end

local function touch(id)
  kin[#kin + 1] = {{parent = id, weight = 0}, 'running', 'running'}
end

-- Ask a job to end. Answers the state it came from.
local function ask_to_end(job, now)
  local was = job.state
  if was == 'queued' or was == 'scheduled' then
    unlist(job)
    terminate_unheld(job, 'cancelled', now, {})
  elseif was == 'running' then
    step(job, 'cancelling', now, {})
  end
  if job.state ~= 'cancelling' then return was end
  if job.worker then call('PUBLISH', P .. 'worker:' .. job.worker, cmsgpack.pack({'cancel', job.id})) end
  if job.tree then fell(job.id) end
  if job.tree == 'group' then touch(job.id) end
  return was
end

-- A group takes in no more jobs.
local function close_group(id)
  call('HDEL', tree_key(id), 'open')
  touch(id)
end

local function end_group(job, total, failed, cancelled, now, items)
  measure(job.id, now)
  local to, set, outcome = 'succeeded', {}, false
  if job.state == 'cancelling' then
    to = 'cancelled'
  elseif failed + cancelled > 0 or total == 0 then
    to = 'failed'
    local text = 'no job of the group was accepted'
    if total > 0 then text = failed .. ' of ' .. total .. ' jobs failed, ' .. cancelled .. ' were cancelled' end
    outcome = cmsgpack.pack({code = 'child_failed', message = text})
    set.error = outcome
  end
  local was = terminate(job, to, now, set)
  items[#items + 1] = {record(job, was), false, false, outcome}
end

-- A child that a parent misses was deleted, or the store has lost it: what was deleted is noted while the parent goes on.
local function note_dropped(id, change)
  local key = dropped_key(id)
  for _, child in ipairs(change.dropped) do call('SADD', key, child) end
  if #change.made == 0 or call('EXISTS', key) == 0 then return end
  for _, child in ipairs(change.made) do call('SREM', key, child) end
end

-- Take down what has become of children of one parent, and let it be known.
local function settle(id, change, now, items)
  local job = load(id)
  if not job then return end
  if change.weight > 0 then call('HINCRBYFLOAT', tree_key(id), 'weight', change.weight) end
  if change.done > 0 then call('HINCRBYFLOAT', tree_key(id), 'done', change.done) end
  for state, count in pairs(change.gone) do call('HINCRBY', tree_key(id), 'gone_' .. state, count) end
  if has_ended(job) then return end
  note_dropped(id, change)
  if not job.tree then
    job.tree = 'yes'
    call('HSET', job_key(id), 'tree', 'yes')
  end
  if job.worker and is_held(job) and #change.ends > 0 then
    call('PUBLISH', P .. 'worker:' .. job.worker, cmsgpack.pack({'children', {id, change.ends}}))
  end
  local total, ended, failed, cancelled = count_children(id)
  local v = call('HMGET', tree_key(id), 'told', 'open')
  if job.tree == 'group' and ended == total and not v[2] then
    end_group(job, total, failed, cancelled, now, items)
  elseif ended == total or now - (tonumber(v[1]) or 0) >= TELL_MS then
    measure(id, now)
    step(job, job.state, now, {})
    items[#items + 1] = {record(job, job.state), false, false, false}
  else
    call('SADD', P .. 'rolling', id)
  end
end

local ENDS = {succeeded = true, failed = true, cancelled = true}

local function tally(change, job, from, to)
  if not from then
    change.weight = change.weight + job.weight
    table.insert(change.made, job.id)
  end
  if not to then
    change.gone[from] = (change.gone[from] or 0) + 1
    table.insert(change.dropped, job.id)
  end
  if ENDS[to] and not ENDS[from] then
    change.done = change.done + job.weight
    table.insert(change.ends, {job.id, to})
  end
end

-- Cancel children of those that have not succeeded or are to end. Answers how many more may be, in this call.
local function fell_children(left, now, items)
  for _, parent in ipairs(call('SMEMBERS', P .. 'felling')) do
    local standing = 0
    write_noted()
    for _, state in ipairs({'scheduled', 'queued', 'running'}) do
      local ids = left > 0 and call('ZRANGE', children_in(state, parent), 0, left - 1) or {}
      for _, id in ipairs(ids) do
        local job = load(id)
        if job then
          local was = ask_to_end(job, now)
          items[#items + 1] = {record(job, was), false, false, false}
        end
      end
      left = left - #ids
      write_noted()
      standing = standing + call('ZCARD', children_in(state, parent))
    end
    if standing == 0 then call('SREM', P .. 'felling', parent) end
  end
  return left
end

-- Settle what the script has done to children, and what follows from it for others.
function look_after_trees(items)
  local now, left = now_ms(), MOST_FELLED
  while felling or #kin > 0 do
    local changes, parents, noted = {}, {}, kin
    kin = {}
    for _, one in ipairs(noted) do
      local id = one[1].parent
      if not changes[id] then
        changes[id] = {weight = 0, done = 0, gone = {}, ends = {}, made = {}, dropped = {}}
        parents[#parents + 1] = id
      end
      tally(changes[id], unpack(one))
    end
    for _, id in ipairs(parents) do settle(id, changes[id], now, items) end
    if felling then
      felling = false
      left = fell_children(left, now, items)
    end
  end
  write_noted()
end
