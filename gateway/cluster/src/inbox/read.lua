-- Marks a notification as read, or all of them. Atomic.
--
-- ARGV[6]  its id, or "" for all
-- Returns  {1 if the notification exists, or for all of them, else 0; number of unread ones}

forget_old()
local id = ARGV[6]
if id == '' then
  redis.call('DEL', KEYS[3])
elseif redis.call('ZSCORE', KEYS[2], id) then
  redis.call('SREM', KEYS[3], id)
else
  push_if_changed()
  return { 0, unread() }
end
push('r' .. id)
return { 1, unread() }
