-- Adds a session to a scope, and announces the user if it is the user's first one there. Atomic. Begins with
-- facts/common.lua and presence/common.lua.
--
-- KEYS[1]  hash of the user's sessions in the scope: session -> incarnation
-- KEYS[2]  when to announce the user's departure (Unix milliseconds); exists within the grace
-- KEYS[3]  rooms: hash of the members: user -> profile; in the cluster's scope the same as KEYS[1]
-- KEYS[4]  sorted set of reminders: "<room, or -> <user>" by the time of the announcement (Unix milliseconds); not used
-- KEYS[5]  stream, KEYS[6] head of the partition of facts; not given if none are recorded
-- ARGV[1]  channel of the scope
-- ARGV[2]  user
-- ARGV[3]  a room with more members than this gets no announcements
-- ARGV[4]  session
-- ARGV[5]  incarnation
-- ARGV[6]  1 to announce; 0 if Redis lost its data, but the user never left: then nothing is recorded either
-- ARGV[7]  rooms only: profile
-- ARGV[8]  if facts are recorded: settings of their outbox; rooms: ARGV[9] namespace, ARGV[10] room
-- Returns  how many members the room has; 0 for the cluster
-- Publishes "+", the time in Unix milliseconds, and in the cluster "-" and the user, in a room the session and the
-- profile.
-- Records  user.online, or room.occupied and room.joined

local is_new = redis.call('EXISTS', KEYS[1], KEYS[2]) == 0
redis.call('HSET', KEYS[1], ARGV[4], ARGV[5])
redis.call('DEL', KEYS[2])
local members, session, about = 0, '-', ARGV[2]
if KEYS[3] ~= KEYS[1] then
  is_new = redis.call('HSET', KEYS[3], ARGV[2], ARGV[7]) == 1
  members, session, about = redis.call('HLEN', KEYS[3]), ARGV[4], ARGV[7]
end
if is_new and ARGV[6] == '1' then
  arrived(presence_outbox(KEYS[5], KEYS[6], ARGV[8], ARGV[9], ARGV[10]), ARGV[2], members)
end
if is_new and ARGV[6] == '1' and members <= tonumber(ARGV[3]) then
  redis.call('PUBLISH', ARGV[1], string.format('+%.0f %s %s', ms, session, about))
end
return members
