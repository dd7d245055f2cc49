-- Takes or renews the lease of a partition, or gives it up. Atomic.
--
-- KEYS[1]  the incarnation that holds the lease
-- ARGV[1]  incarnation
-- ARGV[2]  lease in milliseconds; 0 to give it up
-- Returns  1 if the incarnation now holds the lease, else 0

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
