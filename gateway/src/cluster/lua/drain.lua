-- Notes that an incarnation is on its way out, where it has not been buried. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease
-- KEYS[2]  set of incarnations that are on their way out
-- ARGV[1]  incarnation
-- Returns  1 when noted now, 0 when it was noted before or is not there

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
return redis.call('SADD', KEYS[2], ARGV[1])
