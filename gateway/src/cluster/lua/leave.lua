-- A session is gone, where it was this incarnation's; with the last one the grace begins. Atomic.
--
-- KEYS[1]  hash of the user's sessions that are there: session -> incarnation
-- KEYS[2]  when the user, within the grace, is to be announced offline (Unix milliseconds)
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- ARGV[3]  grace in milliseconds
-- Returns  the moment of the announcement while the user is within the grace, else 0. A second call returns it again,
--          so that a survivor can go on where a node died in between.

if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  if redis.call('EXISTS', KEYS[1]) == 0 then
    local now = redis.call('TIME')
    local due = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ARGV[3])
    -- Kept for long after its time, in case nobody is there to announce it; not for ever.
    redis.call('SET', KEYS[2], string.format('%.0f', due), 'PX', tonumber(ARGV[3]) + 86400000)
  end
end
return tonumber(redis.call('GET', KEYS[2]) or 0)
