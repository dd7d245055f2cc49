-- Stores the address of an incarnation's node, unless the incarnation was removed. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease
-- KEYS[2]  hash: node's tag -> `<incarnation> <address>`
-- ARGV[1]  incarnation, ARGV[2] its node's tag, ARGV[3] address
-- Returns  1 if stored, 0 if KEYS[1] does not have the incarnation

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1] .. ' ' .. ARGV[3])
return 1
