-- Renews a lease. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease (Unix milliseconds)
-- KEYS[2]  hash: incarnation -> "<end of its lease, Unix milliseconds> <layout>"
-- ARGV[1]  incarnation
-- ARGV[2]  term in milliseconds
-- ARGV[3]  layout: this server's place among the servers, and their number
-- Returns  1 if the lease holds; 0 if it was lost

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) <= ms then
  return 0
end
ends = string.format('%.0f', ms + tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], ends, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ends .. ' ' .. ARGV[3])
return 1
