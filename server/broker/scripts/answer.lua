-- Answer a question that `ask` has brought.
-- ARGV: process that asked, number of its question, packed answer
call('PUBLISH', P .. 'worker:' .. ARGV[1], cmsgpack.pack({'answer', {tonumber(ARGV[2]), ARGV[3]}}))
return 1
