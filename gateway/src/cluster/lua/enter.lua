-- Adds a session; the first one of a user who was away announces the user online, unless ARGV[5] is "quietly". Atomic.
--
-- KEYS[1]  hash of the user's online sessions: session -> incarnation
-- KEYS[2]  when the user, within the grace, is to be announced offline (Unix milliseconds)
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- ARGV[3]  channel of announcements
-- ARGV[4]  user
-- ARGV[5]  "aloud" or "quietly"
-- Returns  1 when announced, else 0

local was_empty = redis.call('EXISTS', KEYS[1]) == 0
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local was_within_grace = redis.call('DEL', KEYS[2]) == 1
if was_empty and not was_within_grace and ARGV[5] == 'aloud' then
  local now = redis.call('TIME')
  local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
  redis.call('PUBLISH', ARGV[3], string.format('+%.0f %s', ms, ARGV[4]))
  return 1
end
return 0
