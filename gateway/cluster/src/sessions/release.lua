-- Ends a session, if the incarnation still holds it. Atomic.
--
-- KEYS[1]  hash of the user's sessions: session -> "<generation> <incarnation>"
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- Returns  1 if it ended, else 0

local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.match(entry, '^%d+ (.+)$') == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
