-- Announces a user's departure from a scope once, if the grace is over, and removes the reminder, or moves it to a later
-- time. Atomic. Begins with facts/common.lua and
-- presence/common.lua.
--
-- KEYS[1]  hash of the user's sessions in the scope (not used)
-- KEYS[2]  when to announce the user's departure (Unix milliseconds); exists within the grace
-- KEYS[3]  rooms: hash of the members: user -> profile; in the cluster's scope the same as KEYS[1]
-- KEYS[4]  sorted set of reminders: "<room, or -> <user>" by the time of the announcement (Unix milliseconds)
-- KEYS[5]  stream, KEYS[6] head of the partition of facts; not given if none are recorded
-- ARGV[1]  channel of the scope
-- ARGV[2]  user
-- ARGV[3]  a room with more members than this gets no announcements
-- ARGV[4]  reminder
-- ARGV[5]  if facts are recorded: settings of their outbox; rooms: ARGV[6] namespace, ARGV[7] room
-- Returns  1 if the departure was announced now, else 0
-- Publishes "-", the time in Unix milliseconds, and the user, or in a room the profile.
-- Records  user.offline, or room.left and room.vacated

local due = tonumber(redis.call('GET', KEYS[2]) or 0)
if due == 0 then
  redis.call('ZREM', KEYS[4], ARGV[4])
  return 0
end
if due > ms then
  redis.call('ZADD', KEYS[4], 'GT', string.format('%.0f', due), ARGV[4])
  return 0
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[4], ARGV[4])
local out = presence_outbox(KEYS[5], KEYS[6], ARGV[5], ARGV[6], ARGV[7])
depart(ARGV[1], ARGV[2], ARGV[3], KEYS[3] ~= KEYS[1] and KEYS[3], ms, out)
return 1
