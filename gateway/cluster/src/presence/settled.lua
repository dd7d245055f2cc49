-- Removes a reminder, or moves it to a later time. Keeps a reminder that was changed since it was read. Atomic.
--
-- KEYS[1]  sorted set of reminders by the time of the announcement (Unix milliseconds)
-- ARGV[1]  the reminder
-- ARGV[2]  its time when it was read
-- ARGV[3]  0 to remove it, else when the announcement is due
-- Returns  1

if tonumber(ARGV[3]) > 0 then
  redis.call('ZADD', KEYS[1], 'GT', ARGV[3], ARGV[1])
else
  local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if at and tonumber(at) == tonumber(ARGV[2]) then
    redis.call('ZREM', KEYS[1], ARGV[1])
  end
end
return 1
