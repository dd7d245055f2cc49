-- Changes a field of a record, if the record is the session's: a stay in a room, or the users whose presence the socket
-- watches. Atomic.
--
-- KEYS[1]  record
-- ARGV[1]  session
-- ARGV[2]  field: "r<namespace> <number>", or "w<namespace>"
-- ARGV[3]  room, or users as JSON; '' to remove the field
-- Returns  1 if the record is the session's, else 0

if redis.call('HGET', KEYS[1], 's') ~= ARGV[1] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
return 1
