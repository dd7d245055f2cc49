-- Adds an unread notification, unless it is too old, already stored, or recently deleted. Atomic.
--
-- ARGV[6]  its id
-- ARGV[7]  its body
-- Returns  {1 if it was added now else 0, number of unread ones, number of sessions it was pushed to}

forget_old()
local id = ARGV[6]
if id < oldest or redis.call('ZSCORE', KEYS[5], id) or redis.call('ZADD', KEYS[2], 'NX', 0, id) == 0 then
  push_if_changed()
  return { 0, unread(), 0 }
end
redis.call('SADD', KEYS[3], id)
redis.call('HSET', KEYS[4], id, ARGV[4] .. ' ' .. ARGV[7])
local most = tonumber(ARGV[2])
if most > 0 then
  forget(redis.call('ZRANGE', KEYS[2], 0, -most - 1))
end
for key = 2, 4 do
  if max_age > 0 then
    redis.call('PEXPIRE', KEYS[key], ARGV[3])
  else
    redis.call('PERSIST', KEYS[key])
  end
end
-- The limit removed it at once: it is older than all that are kept, and was perhaps stored before.
if not redis.call('ZSCORE', KEYS[2], id) then
  push_if_changed()
  return { 0, unread(), 0 }
end
local delivered = push('n' .. ARGV[7])
return { 1, unread(), delivered }
