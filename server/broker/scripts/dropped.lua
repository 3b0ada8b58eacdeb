-- Which children of a job that has not ended were deleted, or have expired.
-- ARGV: id of the parent, packed list of ids of children
-- Answers a packed list: 1 or 0 for each.
return cmsgpack.pack(call('SMISMEMBER', dropped_key(ARGV[1]), unpack(cmsgpack.unpack(ARGV[2]))))
