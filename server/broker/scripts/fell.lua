-- Go on cancelling the children of jobs that were cancelled or have failed, a bounded number a call.
-- Answers of how many jobs there are children left: call again.
write_even_when_full()
felling = true
publish({})
return call('SCARD', P .. 'felling')
