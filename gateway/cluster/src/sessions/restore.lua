-- Registers a session again, under the generation that it was granted. Atomic: all keys are one user's. Begins with
-- log/common.lua, sessions/common.lua, facts/common.lua and sessions/facts.lua.
--
-- KEYS[1]  hash of the user's sessions
-- KEYS[2]  head of the user's log
-- KEYS[3]  the session's record; the same as KEYS[2] if it has none
-- KEYS[4]  stream, KEYS[5] head of the user's partition of facts; not given if none are recorded
-- ARGV[1]  session
-- ARGV[2]  incarnation that holds it
-- ARGV[3]  how many sessions the user may have, 0 for any number; the oldest ones above it are evicted
-- ARGV[4]  prefix of every node's channel
-- ARGV[5]  the generation
-- ARGV[6]  epoch of the log that the session has seen, or 0
-- ARGV[7]  number that the session has seen in that epoch
-- ARGV[8]  prefix of the names of the user's records
-- ARGV[9]  name of the session's record, that of KEYS[3], or ''
-- ARGV[10] if facts are recorded: settings of their outbox, ARGV[11] user
-- Returns  {1 if it was registered, 0 if it was evicted at once; epoch and last number of the user's log, or 0 and 0
--          without one}
-- Publishes "E" and the session, for each other session that is evicted, on its node's channel.
-- Records  session.ended for each session that is removed or evicted; session.started if it was not registered. Nothing
--          for one that was not, and is evicted at once.

local out, user = outbox(KEYS[4], KEYS[5], ARGV[10]), ARGV[11]
local record_of = ARGV[9] ~= '' and redis.call('HGET', KEYS[3], 's')
if record_of and record_of ~= ARGV[1] then
  -- The client has come back with another session.
  if redis.call('HDEL', KEYS[1], ARGV[1]) == 1 then
    session_ended(out, user, { session = ARGV[1], holder = ARGV[2] }, 'resumed')
  end
  return { 0, '0', '0' }
end
local entries = sessions_of(KEYS[1], ARGV[1], {})
local own, is_new = register(KEYS[1], ARGV[1], tonumber(ARGV[5]), ARGV[2], ARGV[9])
entries[#entries + 1] = own
table.sort(entries, function(a, b) return a.generation < b.generation end)
local evicted = out and {}
local lost = evict_oldest(KEYS[1], entries, tonumber(ARGV[3]), ARGV[1], ARGV[4], ARGV[8], evicted)
sessions_ended(out, user, evicted, 'replaced')
if lost and not is_new then
  session_ended(out, user, own, 'replaced')
elseif is_new and not lost then
  session_started(out, user, own, '', '')
end
local epoch, last = end_of_log(KEYS[2], tonumber(ARGV[6]), tonumber(ARGV[7]))
return { lost and 0 or 1, whole(epoch or 0), whole(last or 0) }
