-- A group has all its jobs: it ends when they have.
-- ARGV: id, process that took them in
-- Answers packed record, or false (no such job).
write_even_when_full()
call('SREM', P .. 'opening:' .. ARGV[2], ARGV[1])
close_group(ARGV[1])
publish({})
local job = load(ARGV[1])
return cmsgpack.pack(job and record(job) or false)
