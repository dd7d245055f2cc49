-- Removes an incarnation of which nothing is left. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease
-- KEYS[2]  hash: incarnation -> since when its lease is held unbroken
-- KEYS[3]  sorted set of dead incarnations that a survivor is cleaning up after
-- KEYS[4]  hash: incarnation -> its report about itself
-- ARGV[1]  incarnation
-- Returns  1

redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return 1
