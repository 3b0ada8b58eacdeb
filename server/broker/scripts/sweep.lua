-- Forget ended jobs that are too old or too many, and `evict` more because memory is short; a bounded number a call.
-- ARGV: keep_s, keep (count), evict (count), most per call
-- Answers how many went; as many as `most` means: call again.
local keep_ms, keep, evict, most = tonumber(ARGV[1]) * 1000, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local key, now = P .. 'ended', now_ms()
write_even_when_full()
local over = math.max(call('ZCARD', key) - keep, evict, 0)
local ids = {}
if over > 0 then ids = call('ZRANGE', key, 0, math.min(over, most) - 1) end
if #ids < most then
  local seen = {}
  for _, id in ipairs(ids) do seen[id] = true end
  for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', now - keep_ms, 'LIMIT', 0, most)) do
    if not seen[id] and #ids < most then ids[#ids + 1] = id end
  end
end
local items = {}
for _, id in ipairs(ids) do
  local job = load(id)
  if job then
    items[#items + 1] = forget(job)
  else
    call('ZREM', key, id)
  end
end
publish(items)
return #ids
