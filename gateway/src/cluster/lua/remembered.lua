-- Since when everything here is remembered. Atomic.
--
-- KEYS[1]  since when (Unix microseconds): set now where nobody has set it
-- Returns  KEYS[1]

local now = redis.call('TIME')
redis.call('SET', KEYS[1], string.format('%.0f', tonumber(now[1]) * 1000000 + tonumber(now[2])), 'NX')
return redis.call('GET', KEYS[1])
