-- One page of jobs, newest first (ids are ULIDs: by name is by time).
-- ARGV: packed {states, field, values, others}: states to look in; field 'all', 'task', 'queue', 'tag' or 'parent' with its values
--       is the index used; others are {field, values} pairs that each entry is compared with; limit; before (id or '');
--       most entries to look at; 'counts' to count
-- Answers packed {seq, records, next id or false, counts {state, n, …} or false}.
local wish, limit, before, most = cmsgpack.unpack(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local states, field, values, others = wish[1], wish[2], wish[3], wish[4]

local dims = {}
for _, value in ipairs(values) do dims[#dims + 1] = field == 'all' and 'all' or field .. ':' .. value end

local function matches(job)
  for _, other in ipairs(others) do
    local hit = false
    for _, value in ipairs(other[2]) do
      if other[1] == 'task' then hit = hit or job.task == value end
      if other[1] == 'queue' then hit = hit or job.queue == value end
      if other[1] == 'parent' then hit = hit or job.parent == value end
      if other[1] == 'tag' then
        for _, tag in ipairs(job.tags) do hit = hit or tag == value end
      end
    end
    if not hit then return false end
  end
  return true
end

-- The next ids below `top` over all index sets, newest first, without doubles.
local function chunk(top, size)
  local ids, seen = {}, {}
  for _, state in ipairs(states) do
    for _, dim in ipairs(dims) do
      local key = P .. 'index:' .. state .. ':' .. dim
      for _, id in ipairs(call('ZREVRANGEBYLEX', key, top, '-', 'LIMIT', 0, size)) do
        if not seen[id] then seen[id] = true ids[#ids + 1] = id end
      end
    end
  end
  table.sort(ids, function(a, b) return a > b end)
  for i = #ids, size + 1, -1 do ids[i] = nil end
  return ids
end

local out, looked, next_id, top = {}, 0, false, before ~= '' and '(' .. before or '+'
while #out <= limit do
  local size = math.min(limit + 1 - #out, most - looked)
  if size <= 0 then break end
  local ids = chunk(top, size)
  for _, id in ipairs(ids) do
    local job = load(id)
    looked = looked + 1
    top = '(' .. id
    if job and matches(job) then out[#out + 1] = record(job) end
  end
  if #ids < size then looked = -1 break end
end
if #out > limit then
  out[#out] = nil
  next_id = out[#out] and out[#out][1] or false
elseif looked ~= -1 and top ~= '+' then
  next_id = string.sub(top, 2)
end

local counts = false
if ARGV[5] == 'counts' then
  counts = {}
  for _, state in ipairs({'scheduled', 'queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled'}) do
    local n = 0
    for _, dim in ipairs(dims) do n = n + call('ZCARD', P .. 'index:' .. state .. ':' .. dim) end
    counts[#counts + 1] = state
    counts[#counts + 1] = n
  end
end
return cmsgpack.pack({tonumber(call('GET', P .. 'seq') or 0), out, next_id, counts})
