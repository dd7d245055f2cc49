-- Adds a session to a room; the room receives an announcement of a new member, unless ARGV[7] is "quietly". Atomic.
--
-- KEYS[1]  hash of the user's sessions in the room: session -> incarnation
-- KEYS[2]  when the user, within the grace, is to be announced as having left (Unix milliseconds)
-- KEYS[3]  hash of the room's members: user -> profile
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- ARGV[3]  channel of the room
-- ARGV[4]  user
-- ARGV[5]  profile (JSON)
-- ARGV[6]  most members with which joins and leaves are announced
-- ARGV[7]  "aloud" or "quietly"
-- Returns  how many members the room has. The announcement is "J", the session, a space, and the profile.

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('DEL', KEYS[2])
local new = redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
local members = redis.call('HLEN', KEYS[3])
if new == 1 and members <= tonumber(ARGV[6]) and ARGV[7] == 'aloud' then
  redis.call('PUBLISH', ARGV[3], 'J' .. ARGV[1] .. ' ' .. ARGV[5])
end
return members
