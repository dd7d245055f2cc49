-- Sends an event to one user, at most once if there is a once-key. Atomic. Begins with user_log/common.lua and what that
-- begins with.
--
-- KEYS[1]  hash of the user's sessions
-- KEYS[2]  stream of the user's events
-- KEYS[3]  the stream's head
-- KEYS[4]  exists while the user may come back to a record
-- KEYS[5]  the once-key, if there is one: the number of sessions that the event was sent to
-- ARGV[1]  prefix of every node's channel
-- ARGV[2]  how long the event is kept, in milliseconds
-- ARGV[3]  bytes in front of the published message: the caller's trace span, or empty
-- ARGV[4]  the event
-- ARGV[5]  how long the once-key is remembered, in milliseconds
-- Returns  number of sessions that it was sent to, now or before
-- Publishes the event as `send_to_user` does.

local before = KEYS[5] and redis.call('GET', KEYS[5])
if before then
  return tonumber(before)
end
local sent = send_to_user(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4])
if KEYS[5] then
  redis.call('SET', KEYS[5], sent, 'PX', ARGV[5])
end
return sent
