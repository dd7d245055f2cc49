-- Begins or renews a lease. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease (Unix milliseconds)
-- KEYS[2]  hash: incarnation -> since when it has held its lease without a break (Unix milliseconds)
-- KEYS[3]  since when Redis has kept its data (Unix microseconds); "begin" sets it to now if it does not exist
-- KEYS[4]  hash: node's tag -> `<incarnation> <address>`
-- ARGV[1]  incarnation
-- ARGV[2]  term in milliseconds
-- ARGV[3]  "begin" or "renew"
-- ARGV[4]  "begin": the node's tag, and ARGV[5] its address
-- Returns  if the lease holds, KEYS[3] (1 if it does not exist); if it was lost, 0

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
if ARGV[3] == 'begin' then
  redis.call('SET', KEYS[3], string.format('%.0f', tonumber(now[1]) * 1000000 + tonumber(now[2])), 'NX')
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', ms))
  redis.call('HSET', KEYS[4], ARGV[4], ARGV[1] .. ' ' .. ARGV[5])
else
  local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if not ends or tonumber(ends) <= ms then
    return 0
  end
end
redis.call('ZADD', KEYS[1], string.format('%.0f', ms + tonumber(ARGV[2])), ARGV[1])
return tonumber(redis.call('GET', KEYS[3]) or 1)
