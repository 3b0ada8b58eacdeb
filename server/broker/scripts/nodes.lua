-- The processes alive, as they described themselves at their last beat.
-- Answers packed {process, description, …}.
return cmsgpack.pack(call('HGETALL', P .. 'nodes'))
