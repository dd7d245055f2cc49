-- Deletes a notification, and keeps its id for a while. Atomic.
--
-- ARGV[6]  its id
-- ARGV[7]  how long the id is kept, in milliseconds
-- Returns  {1 if there was such a notification else 0, number of unread ones}

forget_old()
local id = ARGV[6]
if not redis.call('ZSCORE', KEYS[2], id) then
  push_if_changed()
  return { 0, unread() }
end
forget({ id })
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', string.format('%.0f', ms - tonumber(ARGV[7])))
redis.call('ZADD', KEYS[5], string.format('%.0f', ms), id)
redis.call('PEXPIRE', KEYS[5], ARGV[7])
push('d' .. id)
return { 1, unread() }
