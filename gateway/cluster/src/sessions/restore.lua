-- Registers a session again, under the generation that it was granted. Atomic: one user's sessions are one key. Begins
-- with sessions/common.lua.
--
-- KEYS[1]  hash of the user's sessions
-- ARGV[1]  session
-- ARGV[2]  incarnation that holds it
-- ARGV[3]  how many sessions the user may have, 0 for any number; the oldest ones above it are evicted
-- ARGV[4]  prefix of every node's channel
-- ARGV[5]  the generation
-- Returns  1 if it was registered, 0 if it was evicted at once
-- Publishes "E" and the session, for each other session that is evicted, on its node's channel.

local entries = sessions_of(KEYS[1], ARGV[1], {})
entries[#entries + 1] = register(KEYS[1], ARGV[1], tonumber(ARGV[5]), ARGV[2])
table.sort(entries, function(a, b) return a.generation < b.generation end)
return evict_oldest(KEYS[1], entries, tonumber(ARGV[3]), ARGV[1], ARGV[4]) and 0 or 1
