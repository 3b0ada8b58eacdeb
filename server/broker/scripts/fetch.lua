-- Read jobs. One moment for all of them.
-- ARGV: packed list of ids; 'detail' adds what summaries leave out
-- Answers packed {seq, list}: for each id false (no such job) or {record} or {record, args, result, error, result_bytes,
-- timeout_s, position or false, checkpoint or false, waiting or false, profile or false,
-- list of {attempt, stack} of its warnings}.
-- `waiting` of a queued job: {ms that jobs of its task took of late, how many of them may run at once or false, packed
-- descriptions of all processes}.
local function waiting_for(job)
  local most = job.limit and tonumber(call('HGET', P .. 'limits', job.task)) or false
  return {call('LRANGE', P .. 'took:' .. job.task, 0, -1), most, call('HVALS', P .. 'nodes')}
end

local function stacks_of(job)
  local found = {}
  for _, warning in ipairs(job.warnings and cmsgpack.unpack(job.warnings) or {}) do
    local attempt = warning.kind == 'blocked_loop' and whole(warning.attempt)
    local stack = attempt and call('HGET', kept_key(job.id), 'stack:' .. attempt)
    if stack then found[#found + 1] = {warning.attempt, stack} end
  end
  return found
end

local out = {}
for i, id in ipairs(cmsgpack.unpack(ARGV[1])) do
  local job = load(id)
  if not job then
    out[i] = false
  elseif ARGV[2] ~= 'detail' then
    out[i] = {record(job)}
  else
    local v = call('HMGET', job_key(id), 'args', 'result', 'error', 'result_bytes', 'timeout', 'checkpoint', 'profile')
    local position = job.state == 'queued' and (call('ZRANK', P .. 'ready:' .. pair_of(job), id)
      or (job.limit and call('ZRANK', P .. 'waiting:' .. job.limit, id)))
    out[i] = {record(job), v[1], v[2], v[3], v[4], v[5], position, v[6], position and waiting_for(job), v[7], stacks_of(job)}
  end
end
return cmsgpack.pack({tonumber(call('GET', P .. 'seq') or 0), out})
