"""A store with very many jobs, quickly made: copies of real jobs under other ids, in all sets their models are in."""

import redis

from server.broker.record import pack
from server.broker.script import FOLDER, SHARED

BATCH = 5000
_SHARED = b"".join((FOLDER / f"{part}.lua").read_bytes() for part in SHARED)
COPY = b"""
-- ARGV: id of the model, packed list of new ids
local job = load(ARGV[1])
local fields = call('HGETALL', job_key(job.id))
local dims = {'all', 'task:' .. job.task, 'queue:' .. job.queue}
for _, tag in ipairs(job.tags) do dims[#dims + 1] = 'tag:' .. tag end
local scores = {}  -- by key: the score the model has there
for _, dim in ipairs(dims) do scores['index:' .. job.state .. ':' .. dim] = '0' end
for _, key in ipairs({'scheduled', 'ended', 'ready:' .. pair_of(job), 'waiting:' .. (job.limit or '')}) do
  scores[key] = call('ZSCORE', P .. key, job.id) or nil
end
local ids = cmsgpack.unpack(ARGV[2])
for _, id in ipairs(ids) do call('HSET', job_key(id), unpack(fields)) end
for key, score in pairs(scores) do
  for first = 1, #ids, 1000 do
    local flat = {}
    for i = first, math.min(#ids, first + 999) do
      flat[#flat + 1] = score
      flat[#flat + 1] = ids[i]
    end
    call('ZADD', P .. key, unpack(flat))
  end
end
return #ids
"""


class Plenty:
    """Fills a store. The ids are older than any real one, and ascend."""

    def __init__(self, client: redis.Redis, tag: str) -> None:
        self._copy = client.register_script(_SHARED + COPY)
        self._tag = tag
        self.count = 0

    def id(self, number: int) -> str:
        """Of the copy with this number, from 1 on."""
        return f"{number:026d}"

    def add(self, model: str, count: int) -> None:
        """That many more copies of a job, as it is now."""
        for first in range(0, count, BATCH):
            ids = [self.id(self.count + index) for index in range(1, min(BATCH, count - first) + 1)]
            assert self._copy([self._tag], [model, pack(ids)]) == len(ids)
            self.count += len(ids)
