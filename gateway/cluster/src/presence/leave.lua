-- Removes a session from a scope, if this incarnation holds it. After the user's last session, begins the grace; without
-- a grace, announces the departure at once. Atomic.
--
-- KEYS[1]  hash of the user's sessions in the scope: session -> incarnation
-- KEYS[2]  when to announce the user's departure (Unix milliseconds); exists within the grace
-- KEYS[3]  rooms only: hash of the members: user -> profile
-- ARGV[1]  channel of the scope
-- ARGV[2]  user
-- ARGV[3]  a room with more members than this gets no announcements
-- ARGV[4]  session
-- ARGV[5]  incarnation
-- ARGV[6]  grace in milliseconds; 0 for none
-- Returns  KEYS[2], or 0 if it does not exist. A second call returns it again, so that a survivor can add the
--          reminder if the node died before adding it.
-- Publishes "-", the time in Unix milliseconds, and the user, or in a room the profile.

if redis.call('HGET', KEYS[1], ARGV[4]) == ARGV[5] then
  redis.call('HDEL', KEYS[1], ARGV[4])
  if redis.call('EXISTS', KEYS[1]) == 0 then
    local now = redis.call('TIME')
    local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
    local grace = tonumber(ARGV[6])
    if grace > 0 then
      -- Expires a day after it is due, if no node is running that could announce it.
      redis.call('SET', KEYS[2], string.format('%.0f', ms + grace), 'PX', grace + 86400000)
    else
      local members, about = 0, ARGV[2]
      if KEYS[3] then
        members, about = redis.call('HLEN', KEYS[3]), redis.call('HGET', KEYS[3], ARGV[2])
        redis.call('HDEL', KEYS[3], ARGV[2])
      end
      if about and members <= tonumber(ARGV[3]) then
        redis.call('PUBLISH', ARGV[1], string.format('-%.0f %s', ms, about))
      end
    end
  end
end
return tonumber(redis.call('GET', KEYS[2]) or 0)
