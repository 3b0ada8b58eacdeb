-- Behind _steps.lua in every script: the log of a job.

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

-- When an entry was written (ms); nil for a gap, and for what cannot be read.
local function written_at(entry)
  if entry[2][1] ~= 'e' then return nil end
  local ok, value = pcall(cmsgpack.unpack, entry[2][2])
  return ok and type(value) == 'table' and tonumber(value.at) or nil
end

-- Delete what was written before `since` (ms), at most about 200 entries in a call; the last one stays.
local function drop_old(job, since)
  local key, old = P .. 'log:' .. job.id, 0
  if (written_at(call('XRANGE', key, '-', '+', 'COUNT', 1)[1]) or 0) >= since then return end
  local head = call('XRANGE', key, '-', '+', 'COUNT', 200)
  for i = 1, #head - 1 do
    if (written_at(head[i]) or since) < since then old = i end
  end
  for i = 1, old do
    if head[i][2][1] == 'e' then job.log_bytes = job.log_bytes - #head[i][2][2] end
  end
  if old > 0 then call('XTRIM', key, 'MINID', head[old + 1][1]) end
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
-- are passed over, so a report may come twice. What is over the limits goes: by count, bytes, and age (`since`, ms). `lost`: what the store lacks between `known` and `first` is gone for good
-- and is stored as a gap.
local append_log
function append_log(job, set, first, entries, lost, known, keep, keep_bytes, since)
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
      return append_log(job, set, first, entries, lost, known, keep, keep_bytes, since)
    end
    job.log_last = offset
    job.log_bytes = job.log_bytes + #entries[i]
    added = added + 1
  end
  if added > 0 then
    trim_log(job, keep, keep_bytes)
    drop_old(job, since)
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
