-- Returns the incarnations whose lease holds, by Redis's own clock. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease (Unix milliseconds)
-- Returns  {incarnation, incarnation…}

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', ms), '+inf')
