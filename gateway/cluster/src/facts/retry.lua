-- Parks a hook's dead facts of a partition again. Atomic.
--
-- KEYS[1]  hash of the hook's progress, with its version v
-- KEYS[2]  hash of its parked facts: id -> "<until> <fact>"
-- KEYS[3]  list of its dead facts: "<time of death> <reason> <id> <fact>"
-- ARGV[1]  how long they are sent again, in milliseconds
-- ARGV[2…] ids of the facts; all if there are none
-- Returns  number of facts

local wanted = {}
for i = 2, #ARGV do
  wanted[ARGV[i]] = true
end
local now = redis.call('TIME')
local until_ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ARGV[1])
local count = 0
for _, dead in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  local id, text = string.match(dead, '^%S+ %S+ (%S+) (.*)$')
  if id and (#ARGV == 1 or wanted[id]) then
    redis.call('LREM', KEYS[3], 1, dead)
    redis.call('HSET', KEYS[2], id, string.format('%.0f %s', until_ms, text))
    count = count + 1
  end
end
if count > 0 then
  redis.call('HINCRBY', KEYS[1], 'v', 1)
end
return count
