-- Counts an incarnation among those that deliver facts. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease (Unix milliseconds)
-- ARGV[1]  incarnation
-- ARGV[2]  lease in milliseconds
-- Returns  how many incarnations deliver facts

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms))
redis.call('ZADD', KEYS[1], string.format('%.0f', ms + tonumber(ARGV[2])), ARGV[1])
return redis.call('ZCARD', KEYS[1])
