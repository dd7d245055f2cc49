-- Registers a session again, under the generation that it was granted. Atomic: all keys are one user's. Begins with
-- log/common.lua and sessions/common.lua.
--
-- KEYS[1]  hash of the user's sessions
-- KEYS[2]  head of the user's log
-- ARGV[1]  session
-- ARGV[2]  incarnation that holds it
-- ARGV[3]  how many sessions the user may have, 0 for any number; the oldest ones above it are evicted
-- ARGV[4]  prefix of every node's channel
-- ARGV[5]  the generation
-- ARGV[6]  epoch of the log that the session has seen, or 0
-- ARGV[7]  number that the session has seen in that epoch
-- ARGV[8]  prefix of the names of the user's records
-- ARGV[9]  name of the session's record, or ''
-- Returns  {1 if it was registered, 0 if it was evicted at once; epoch and last number of the user's log, or 0 and 0
--          without one}
-- Publishes "E" and the session, for each other session that is evicted, on its node's channel.

local record_of = ARGV[9] ~= '' and redis.call('HGET', ARGV[8] .. ARGV[9], 's')
if record_of and record_of ~= ARGV[1] then
  -- The client has come back with another session.
  redis.call('HDEL', KEYS[1], ARGV[1])
  return { 0, '0', '0' }
end
local entries = sessions_of(KEYS[1], ARGV[1], {})
entries[#entries + 1] = register(KEYS[1], ARGV[1], tonumber(ARGV[5]), ARGV[2], ARGV[9])
table.sort(entries, function(a, b) return a.generation < b.generation end)
local kept = evict_oldest(KEYS[1], entries, tonumber(ARGV[3]), ARGV[1], ARGV[4], ARGV[8]) and 0 or 1
local epoch, last = end_of_log(KEYS[2], tonumber(ARGV[6]), tonumber(ARGV[7]))
return { kept, whole(epoch or 0), whole(last or 0) }
