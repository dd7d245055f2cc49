-- Entries whose grace may be over, by Redis's own clock: users, or rooms and users.
--
-- KEYS[1]  sorted set of entries by the moment of their announcement (Unix milliseconds)
-- ARGV[1]  how many at most
-- Returns  {entry, entry…}

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms), 'LIMIT', 0, tonumber(ARGV[1]))
