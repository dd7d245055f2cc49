-- Returns the address of a node whose lease holds, by Redis's own clock. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease (Unix milliseconds)
-- KEYS[2]  hash: node's tag -> `<incarnation> <address>`
-- ARGV[1]  node's tag
-- Returns  {incarnation, address}, or nil

local found = redis.call('HGET', KEYS[2], ARGV[1])
local incarnation, address = string.match(found or '', '^(%S+) (%S+)$')
if not incarnation then
  return false
end
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local ends = redis.call('ZSCORE', KEYS[1], incarnation)
if not ends or tonumber(ends) <= ms then
  return false
end
return {incarnation, address}
