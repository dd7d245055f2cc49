-- Writes down what an incarnation says of itself, where it has not been buried. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease
-- KEYS[2]  hash: incarnation -> what it says of itself
-- ARGV[1]  incarnation, ARGV[2] what it says
-- Returns  1 when written, 0 when it is not there

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
