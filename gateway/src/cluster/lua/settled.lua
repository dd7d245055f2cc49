-- Removes a user's reminder, or moves it to a later time. Keeps one that was set meanwhile and is not due yet.
--
-- KEYS[1]  sorted set of users by the time of their announcement (Unix milliseconds)
-- ARGV[1]  user
-- ARGV[2]  0, or when the announcement is due
-- Returns  1

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
elseif score and tonumber(score) <= ms then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
