-- Announces a user offline, once, when the grace is over. Atomic.
--
-- KEYS[1]  when the user, within the grace, is to be announced offline (Unix milliseconds)
-- ARGV[1]  channel of announcements
-- ARGV[2]  user
-- Returns  0 when there is nothing left to do, else the moment of the announcement that is still to come

local due = tonumber(redis.call('GET', KEYS[1]) or 0)
if due == 0 then
  return 0
end
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
if due > ms then
  return due
end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], string.format('-%.0f %s', ms, ARGV[2]))
return 0
