-- Name the store if it has no name yet.
-- ARGV: a random name
-- Answers {name of the store, sequence number of the last message}.
write_even_when_full()
call('SET', P .. 'store', ARGV[1], 'NX')
return {call('GET', P .. 'store'), tonumber(call('GET', P .. 'seq') or 0)}
