-- Gives one dead incarnation to a survivor that has held its own lease for one full term. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease (Unix milliseconds)
-- KEYS[2]  hash: incarnation -> since when it has held its lease without a break (Unix milliseconds)
-- KEYS[3]  sorted set of dead incarnations that a survivor is cleaning up, by the time at which another may take over
-- ARGV[1]  survivor
-- ARGV[2]  term in milliseconds
-- ARGV[3]  how long the survivor may take, in milliseconds
-- Returns  the dead incarnation, or nil

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
local since = redis.call('HGET', KEYS[2], ARGV[1])
if not ends or tonumber(ends) <= ms or not since or ms - tonumber(since) < tonumber(ARGV[2]) then
  return false
end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms), 'LIMIT', 0, 64)) do
  local taken = redis.call('ZSCORE', KEYS[3], dead)
  if not taken or tonumber(taken) <= ms then
    redis.call('ZADD', KEYS[3], string.format('%.0f', ms + tonumber(ARGV[3])), dead)
    return dead
  end
end
return false
