-- Records entries, and sends them to all nodes. Atomic. Begins with revocations/common.lua.
--
-- ARGV[1]  channel
-- ARGV[2]  beginning of the message: the sender's trace span, or ''
-- ARGV[3]  most entries
-- ARGV[4]  1 if only subjects without an entry get theirs, else 0
-- ARGV[5…] for each entry: subject, Unix second at which it is over, entry
-- Returns  0, or 1 if there are too many entries; then nothing was recorded
-- Publishes "V", the position of the last entry, a space, and the entries as a JSON array.

-- As many as this call may add, at least, so that the list does not grow with what is over.
local over = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', seconds, 'LIMIT', 0, #ARGV)
for _, subject in ipairs(over) do
  redis.call('HDEL', KEYS[2], subject)
  redis.call('ZREM', KEYS[3], subject)
  redis.call('ZREM', KEYS[4], subject)
end

if redis.call('ZCARD', KEYS[3]) + (#ARGV - 4) / 3 > tonumber(ARGV[3]) then
  return 1
end
local epoch, number = end_of_list()
local entries = {}
for i = 5, #ARGV, 3 do
  local subject = ARGV[i]
  if ARGV[4] == '0' or redis.call('HEXISTS', KEYS[2], subject) == 0 then
    number = number + 1
    redis.call('HSET', KEYS[2], subject, ARGV[i + 2])
    redis.call('ZADD', KEYS[3], whole(number), subject)
    redis.call('ZADD', KEYS[4], ARGV[i + 1], subject)
    entries[#entries + 1] = ARGV[i + 2]
  end
end
if #entries > 0 then
  redis.call('HSET', KEYS[1], 'n', whole(number))
  local position = whole(epoch) .. '-' .. whole(number)
  redis.call('PUBLISH', ARGV[1], ARGV[2] .. 'V' .. position .. ' [' .. table.concat(entries, ',') .. ']')
end
return 0
