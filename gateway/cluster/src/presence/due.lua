-- Returns the reminders of users whose grace may be over, by Redis's own clock. Atomic.
--
-- KEYS[1]  sorted set of reminders by the time of the announcement (Unix milliseconds)
-- ARGV[1]  maximum number
-- Returns  {reminder, reminder…}

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms), 'LIMIT', 0, tonumber(ARGV[1]))
