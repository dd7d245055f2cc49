-- Claims a session, makes its user online and counts the unread notifications. If the client can be recovered,
-- continues its record, which ends the session that it belonged to, or begins one. Atomic: all keys are one user's.
-- Begins with inbox/common.lua and what that begins with, recovery/common.lua, facts/common.lua and sessions/facts.lua.
--
-- KEYS[1…8]  as in inbox/common.lua
-- KEYS[9]    hash of the user's sessions that are online: session -> incarnation
-- KEYS[10]   when to announce the user's departure (Unix milliseconds); exists within the grace
-- KEYS[11]   set: "<session> - <user>" of every session that the incarnation holds in this partition, and its stays
-- KEYS[12]   stream, KEYS[13] head of the partition of facts; not given if none are recorded
-- KEYS[…]    the records of ARGV[13] and ARGV[14], if given
-- ARGV[1…5]  as in inbox/common.lua
-- ARGV[6]    session
-- ARGV[7]    incarnation that claims
-- ARGV[8]    how many sessions the user may have, 0 for any number
-- ARGV[9]    "evict" or "reject": above that limit, the oldest sessions are evicted or the claim is refused
-- ARGV[10]   channel of the cluster's presence
-- ARGV[11]   user
-- ARGV[12]   prefix of the names of the user's records
-- ARGV[13]   name of a new record, or '' if the client does not want to be recovered
-- ARGV[14]   name of the record that the client comes back to, or ''
-- ARGV[15]   namespace, ARGV[16] id of the new socket, ARGV[17] marks of the client's token
-- ARGV[18]   settings of the outbox of facts, or ''
-- ARGV[19]   entry for KEYS[11]
-- ARGV[20…]  dead incarnations, whose sessions are removed
-- Returns    {1, generation, number of unread notifications, Unix milliseconds of the user's arrival or 0, epoch and last
--            number of the user's log or 0 and 0 without one, {} or {the record's socket, the session that it belonged
--            to, users that it watches, marks of its token, number of a stay, room, number, room…}} granted | {0, holder,
--            holder…} refused, oldest first
-- Publishes "E" and the session, for each session that is evicted or ended, on its node's channel; then, for a user who
-- was not online, "+", the time in Unix milliseconds, the session, and the user on the channel of presence.
-- Records     session.ended for each session that is removed, ended or evicted; session.started; user.online

local session, incarnation, limit = ARGV[6], ARGV[7], tonumber(ARGV[8])
local dead = {}
for i = 20, #ARGV do
  dead[ARGV[i]] = true
end
local out, user = outbox(KEYS[12], KEYS[13], ARGV[18]), ARGV[11]
local removed, evicted = out and {}, out and {}
local entries = sessions_of(KEYS[1], session, dead, removed)
sessions_ended(out, user, removed, 'node_lost')
local records, record, namespace = ARGV[12], ARGV[13], ARGV[15]
local before = ARGV[14] ~= '' and session_of_record(records, ARGV[14], namespace)
local ended
for i = #entries, 1, -1 do
  if entries[i].session == before then
    ended = table.remove(entries, i)
  end
end

if ARGV[9] == 'reject' and limit > 0 and #entries >= limit then
  local refused = { 0 }
  for _, entry in ipairs(entries) do
    refused[#refused + 1] = entry.holder
  end
  return refused
end

-- Before the claim, so that this session is not sent the count.
local count = unread()
if count > 0 then
  forget_old()
  push_if_changed()
  count = unread()
end

-- Redis's clock in microseconds keeps generations in order even if the user's key was empty meanwhile.
local generation = us
if #entries > 0 and entries[#entries].generation >= generation then
  generation = entries[#entries].generation + 1
end
local recovered = {}
if before then
  record = ARGV[14]
  local stays, socket, watched, marks = take_record(records, record, session, ARGV[17], namespace)
  recovered = { socket, before, watched, marks, unpack(stays) }
elseif record ~= '' then
  begin_record(records, record, session, ARGV[17], namespace, ARGV[16])
end
if ended then
  redis.call('HDEL', KEYS[1], before)
  publish_eviction(ended, ARGV[1])
  session_ended(out, user, ended, 'resumed')
end
-- Before the session, so that a survivor finds every session of this incarnation.
redis.call('SADD', KEYS[11], ARGV[19])
local own, is_new = register(KEYS[1], session, generation, incarnation, record)
entries[#entries + 1] = own
evict_oldest(KEYS[1], entries, limit, session, ARGV[1], records, evicted)
sessions_ended(out, user, evicted, 'replaced')
if is_new then
  session_started(out, user, own, namespace, recovered[1] or ARGV[16])
end

local arrived = 0
if redis.call('EXISTS', KEYS[9], KEYS[10]) == 0 then
  arrived = ms
else
  redis.call('DEL', KEYS[10])
end
redis.call('HSET', KEYS[9], session, incarnation)
if arrived > 0 then
  redis.call('PUBLISH', ARGV[10], string.format('+%.0f %s %s', ms, session, user))
  fact(out, 'user.online', 'user', user)
end
local epoch, last = end_of_log(KEYS[7], 0, 0)
return { 1, whole(generation), count, arrived, whole(epoch or 0), whole(last or 0), recovered }
