-- Removes an incarnation whose sessions and stays were released. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease
-- KEYS[2]  hash: incarnation -> since when it has held its lease without a break
-- KEYS[3]  sorted set of dead incarnations that a survivor is cleaning up
-- KEYS[4]  hash: incarnation -> its report about itself
-- ARGV[1]  incarnation
-- Returns  1

redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return 1
