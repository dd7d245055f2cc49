-- Removes a session from a scope, if this incarnation holds it. After the user's last session, begins the grace; without
-- a grace, announces the departure at once. Atomic. Begins with facts/common.lua and presence/common.lua.
--
-- KEYS[1]  hash of the user's sessions in the scope: session -> incarnation
-- KEYS[2]  when to announce the user's departure (Unix milliseconds); exists within the grace
-- KEYS[3]  rooms: hash of the members: user -> profile; in the cluster's scope the same as KEYS[1]
-- KEYS[4]  sorted set of reminders: "<room, or -> <user>" by the time of the announcement (Unix milliseconds)
-- KEYS[5]  stream, KEYS[6] head of the partition of facts; not given if none are recorded
-- ARGV[1]  channel of the scope
-- ARGV[2]  user
-- ARGV[3]  a room with more members than this gets no announcements
-- ARGV[4]  session
-- ARGV[5]  incarnation
-- ARGV[6]  grace in milliseconds; 0 for none
-- ARGV[7]  reminder
-- ARGV[8]  if facts are recorded: settings of their outbox; rooms: ARGV[9] namespace, ARGV[10] room
-- Returns  1 if the session was there, else 0
-- Publishes "-", the time in Unix milliseconds, and the user, or in a room the profile.
-- Records  user.offline, or room.left and room.vacated

if redis.call('HGET', KEYS[1], ARGV[4]) ~= ARGV[5] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[4])
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
local grace = tonumber(ARGV[6])
if grace > 0 then
  local due = string.format('%.0f', ms + grace)
  -- Expires a day after it is due, if no node is running that could announce it.
  redis.call('SET', KEYS[2], due, 'PX', grace + 86400000)
  redis.call('ZADD', KEYS[4], 'GT', due, ARGV[7])
else
  local out = presence_outbox(KEYS[5], KEYS[6], ARGV[8], ARGV[9], ARGV[10])
  depart(ARGV[1], ARGV[2], ARGV[3], KEYS[3] ~= KEYS[1] and KEYS[3], ms, out)
end
return 1
