-- Announces a user offline, once, when the grace is over. Atomic.
--
-- KEYS[1]  when to announce the user offline (Unix milliseconds); exists while that is pending
-- ARGV[1]  channel of announcements
-- ARGV[2]  user
-- Returns  0 if nothing is left to do, else when the announcement is due

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
