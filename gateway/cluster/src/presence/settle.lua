-- Announces a user's departure from a scope once, if the grace is over. Atomic.
--
-- KEYS[1]  hash of the user's sessions in the scope (not used)
-- KEYS[2]  when to announce the user's departure (Unix milliseconds); exists within the grace
-- KEYS[3]  rooms only: hash of the members: user -> profile
-- ARGV[1]  channel of the scope
-- ARGV[2]  user
-- ARGV[3]  a room with more members than this gets no announcements
-- Returns  0 if no announcement is pending, else when it is due
-- Publishes "-", the time in Unix milliseconds, and the user, or in a room the profile.

local due = tonumber(redis.call('GET', KEYS[2]) or 0)
if due == 0 then
  return 0
end
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
if due > ms then
  return due
end
redis.call('DEL', KEYS[2])
local members, about = 0, ARGV[2]
if KEYS[3] then
  members, about = redis.call('HLEN', KEYS[3]), redis.call('HGET', KEYS[3], ARGV[2])
  redis.call('HDEL', KEYS[3], ARGV[2])
end
if about and members <= tonumber(ARGV[3]) then
  redis.call('PUBLISH', ARGV[1], string.format('-%.0f %s', ms, about))
end
return 0
