-- Removes a session, if this incarnation holds it; with the user's last one the grace begins. Atomic.
--
-- KEYS[1]  hash of the user's sessions: session -> incarnation
-- KEYS[2]  when to announce the user offline (Unix milliseconds); exists while that is pending
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- ARGV[3]  grace in milliseconds
-- Returns  KEYS[2], or 0 if it does not exist. A second call returns it again, so that a survivor can add the reminder
--          if the node died before it did.

if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  if redis.call('EXISTS', KEYS[1]) == 0 then
    local now = redis.call('TIME')
    local due = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ARGV[3])
    -- Kept for a day after it is due, in case no node is up to announce it; not for ever.
    redis.call('SET', KEYS[2], string.format('%.0f', due), 'PX', tonumber(ARGV[3]) + 86400000)
  end
end
return tonumber(redis.call('GET', KEYS[2]) or 0)
