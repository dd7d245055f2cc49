-- Sends an event to one user. Atomic. Begins with user_log/common.lua and what that begins with.
--
-- KEYS[1]  hash of the user's sessions
-- KEYS[2]  stream of the user's events
-- KEYS[3]  the stream's head
-- KEYS[4]  exists while the user may come back to a record
-- ARGV[1]  prefix of every node's channel
-- ARGV[2]  how long the event is kept, in milliseconds
-- ARGV[3]  bytes in front of the published message: the caller's trace span, or empty
-- ARGV[4]  the event
-- Returns  number of sessions that it was sent to
-- Publishes the event as `send_to_user` does.

return send_to_user(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4])
