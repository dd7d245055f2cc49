-- Decides whether an attempt at a named operation may run. Atomic.
--
-- KEYS[1]  hash of the name: fingerprint, id, until (end of the time for the running attempt, Unix milliseconds), reply
-- ARGV[1]  fingerprint of the operation
-- ARGV[2]  the operation's id, if this is the first attempt
-- ARGV[3]  how long an attempt counts as running, in milliseconds
-- ARGV[4]  how long the name is kept, from the first attempt on, in milliseconds
-- Returns  { "go", id }, { "running", "" }, { "other", "" }, or { "done", reply }

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local known = redis.call('HMGET', KEYS[1], 'fingerprint', 'id', 'until', 'reply')
if not known[1] then
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'id', ARGV[2], 'until', now + ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return { 'go', ARGV[2] }
end
if known[1] ~= ARGV[1] then
  return { 'other', '' }
end
if known[4] then
  return { 'done', known[4] }
end
if tonumber(known[3]) > now then
  return { 'running', '' }
end
redis.call('HSET', KEYS[1], 'until', now + ARGV[3])
return { 'go', known[2] }
