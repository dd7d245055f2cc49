-- Stores the outcome of an attempt, if its name is still kept. Atomic.
--
-- KEYS[1]  hash of the name
-- ARGV[1]  field, ARGV[2] its value
-- Returns  1 when it was stored, else 0

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
