-- Removes an incarnation whose sessions and stays were released. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease
-- KEYS[2]  hash: incarnation -> since when it has held its lease without a break
-- KEYS[3]  sorted set of dead incarnations that a survivor is cleaning up
-- KEYS[4]  hash: incarnation -> its report about itself
-- KEYS[5]  hash: node's tag -> `<incarnation> <address>`
-- KEYS[6]  hash: incarnation -> end of its lease and layout
-- ARGV[1]  incarnation, ARGV[2] its node's tag
-- Returns  1

redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('HDEL', KEYS[6], ARGV[1])
-- The node may live on under another incarnation.
local address = redis.call('HGET', KEYS[5], ARGV[2])
if address and string.sub(address, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then
  redis.call('HDEL', KEYS[5], ARGV[2])
end
return 1
