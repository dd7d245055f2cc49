-- Removes a session from a room, if this incarnation holds it. With the user's last one the grace begins; without a
-- grace the user is removed and announced at once. Atomic.
--
-- KEYS[1]  hash of the user's sessions in the room: session -> incarnation
-- KEYS[2]  when to announce that the user has left (Unix milliseconds); exists while that is pending
-- KEYS[3]  hash of the room's members: user -> profile
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- ARGV[3]  grace in milliseconds; 0 for none
-- ARGV[4]  channel of the room
-- ARGV[5]  user
-- ARGV[6]  joining and leaving are announced up to this many members
-- Returns  KEYS[2], or 0 if it does not exist. A second call returns it again, so that a survivor can add the reminder
--          if the node died before it did. Publishes "L" and the profile.

if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  if redis.call('EXISTS', KEYS[1]) == 0 then
    if tonumber(ARGV[3]) > 0 then
      local now = redis.call('TIME')
      local due = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ARGV[3])
      redis.call('SET', KEYS[2], string.format('%.0f', due), 'PX', tonumber(ARGV[3]) + 86400000)
    else
      local members = redis.call('HLEN', KEYS[3])
      local profile = redis.call('HGET', KEYS[3], ARGV[5])
      redis.call('HDEL', KEYS[3], ARGV[5])
      if profile and members <= tonumber(ARGV[6]) then
        redis.call('PUBLISH', ARGV[4], 'L' .. profile)
      end
    end
  end
end
return tonumber(redis.call('GET', KEYS[2]) or 0)
