-- Ends a session, if the incarnation still holds it. Its record is kept for a while, or deleted. Atomic: all keys are one
-- user's. Begins with facts/common.lua and sessions/facts.lua.
--
-- KEYS[1]  hash of the user's sessions: session -> "<generation> <incarnation>[ <record>]"
-- KEYS[2]  exists while the user may come back to a record
-- KEYS[3]  stream, KEYS[4] head of the user's partition of facts; not given if none are recorded
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- ARGV[3]  prefix of the names of the user's records
-- ARGV[4]  how long the record is kept, in milliseconds; 0 to delete it
-- ARGV[5]  if facts are recorded: settings of their outbox, ARGV[6] user, ARGV[7] reason of the end
-- Returns  1 if it ended, else 0
-- Records  session.ended

local entry = redis.call('HGET', KEYS[1], ARGV[1])
local holder, record = string.match(entry or '', '^%d+ (%S+) ?(.*)$')
if holder ~= ARGV[2] then
  return 0
end
-- First, because the record is no key of the call: on a Redis Cluster that moves it to another server, this fails, and
-- nothing has happened yet. Another session may have taken the record over.
if record ~= '' and redis.call('HGET', ARGV[3] .. record, 's') == ARGV[1] then
  if ARGV[4] == '0' then
    redis.call('DEL', ARGV[3] .. record)
  else
    redis.call('PEXPIRE', ARGV[3] .. record, ARGV[4])
    redis.call('SET', KEYS[2], 1, 'PX', ARGV[4])
  end
end
redis.call('HDEL', KEYS[1], ARGV[1])
session_ended(outbox(KEYS[3], KEYS[4], ARGV[5]), ARGV[6], { session = ARGV[1], holder = holder }, ARGV[7])
return 1
