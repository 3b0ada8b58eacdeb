-- Mark jobs that somebody looks at, so that their runners tell of them often; one call for many.
-- ARGV: packed list of ids; how long the mark lasts (ms)
-- Answers 'ok'. A worker whose job was not looked at before is told of it on its channel: watch, its list of ids.
local ids, lasts = cmsgpack.unpack(ARGV[1]), ARGV[2]
write_even_when_full()
local news = {}
for _, id in ipairs(ids) do
  if not call('SET', P .. 'watched:' .. id, '1', 'PX', lasts, 'GET') then
    local v = call('HMGET', job_key(id), 'state', 'worker')
    if v[2] and is_held({state = v[1]}) then
      news[v[2]] = news[v[2]] or {}
      table.insert(news[v[2]], id)
    end
  end
end
for worker, held in pairs(news) do call('PUBLISH', P .. 'worker:' .. worker, cmsgpack.pack({'watch', held})) end
return 'ok'
