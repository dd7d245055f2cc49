-- A session is out of a room, where it was this incarnation's; with the user's last one the grace begins, or the user is
-- announced at once where there is none. Atomic.
--
-- KEYS[1]  hash of the user's sessions in the room: session -> incarnation
-- KEYS[2]  when the user, within the grace, is to be announced as having left (Unix milliseconds)
-- KEYS[3]  hash of the room's members: user -> profile
-- ARGV[1]  session
-- ARGV[2]  incarnation
-- ARGV[3]  grace in milliseconds; 0 for none
-- ARGV[4]  channel of the room
-- ARGV[5]  user
-- ARGV[6]  members up to which comings and goings are announced
-- Returns  the moment of the announcement while the user is within the grace, else 0. A second call returns it again,
--          so that a survivor can go on where a node died in between. Publishes "L" and the profile.

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
