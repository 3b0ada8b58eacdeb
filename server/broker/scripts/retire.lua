-- A worker that drains: submits stop waking it, its jobs stay leased to it.
-- ARGV: worker
write_even_when_full()
delist(ARGV[1])
return 'ok'
