-- Returns since when Redis has kept its data. Atomic.
--
-- KEYS[1]  that time (Unix microseconds); set to the current time if it does not exist
-- Returns  KEYS[1]

local now = redis.call('TIME')
redis.call('SET', KEYS[1], string.format('%.0f', tonumber(now[1]) * 1000000 + tonumber(now[2])), 'NX')
return redis.call('GET', KEYS[1])
