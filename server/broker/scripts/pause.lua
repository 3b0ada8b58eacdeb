-- A job that runs waits for its children: it gives up its place under its limit, so that others, they too, may have it.
-- ARGV: id, token
-- Answers 'ok', or 'fenced' (it is not held under this token any more).
local job = load(ARGV[1])
if not job or job.token ~= ARGV[2] or not is_held(job) then return 'fenced' end
write_even_when_full()
give_up_place(job)
return 'ok'
