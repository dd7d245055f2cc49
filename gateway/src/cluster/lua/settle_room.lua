-- Removes a user from a room's members and announces it to the room, once, when the grace is over. Atomic.
--
-- KEYS[1]  when to announce that the user has left (Unix milliseconds); exists while that is pending
-- KEYS[2]  hash of the room's members: user -> profile
-- ARGV[1]  channel of the room
-- ARGV[2]  user
-- ARGV[3]  joining and leaving are announced up to this many members
-- Returns  0 if nothing is left to do, else when the announcement is due.
--          Publishes "L" and the profile.

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
local members = redis.call('HLEN', KEYS[2])
local profile = redis.call('HGET', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2])
if profile and members <= tonumber(ARGV[3]) then
  redis.call('PUBLISH', ARGV[1], 'L' .. profile)
end
return 0
