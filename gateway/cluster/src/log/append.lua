-- Stores a message under the next number of its room, and publishes it. Atomic: all keys of a room share a hash tag.
-- Begins with redis/term.lua, log/common.lua and facts/common.lua.
--
-- KEYS[1]  stream of the room's messages: ids "<number>-0", fields t (Unix milliseconds) and b (body)
-- KEYS[2]  the log's head
-- KEYS[3]  position of the message that was stored under the caller's key; the same as KEYS[2] if it has none
-- KEYS[4]  stream, KEYS[5] head of the room's partition of facts; not given if none are recorded
-- ARGV[1]  body
-- ARGV[2]  channel of the room
-- ARGV[3]  how many messages are kept
-- ARGV[4]  how long they are kept, in milliseconds; older ones may stay until a later append, but are never read
-- ARGV[5]  how long the same key stands for the same message, in milliseconds; 0 without a key
-- ARGV[6]  how long the epoch of an unused room is kept, in milliseconds, and an hour more
-- ARGV[7]  bytes in front of the published message: the caller's trace span, or empty
-- ARGV[8]  highest epoch that the caller has seen, or 0, and ARGV[9] the highest number in it: no position is given twice
-- ARGV[10] 1 if the caller waits until replicas or the disk have the message: then a message that was stored before is
--          written again, because a connection can wait only for what it has written itself; else 0
-- ARGV[11] if facts are recorded: settings of their outbox, ARGV[12] the room's namespace
-- Returns  {epoch, number, 1 when it was stored now else 0}
-- Publishes ARGV[7], "M" and the position, a space and the body.
-- Records  message.stored, with the fields of the body

local once = tonumber(ARGV[5])
if once > 0 then
  local before = redis.call('GET', KEYS[3])
  if before then
    if ARGV[10] == '1' then
      redis.call('SET', KEYS[3], before, 'KEEPTTL')
    end
    local epoch, number = string.match(before, '^(%d+) (%d+)$')
    return { epoch, number, 0 }
  end
end

local epoch, number, expiry_set = next_number(KEYS[1], KEYS[2], tonumber(ARGV[8]), tonumber(ARGV[9]))
local epoch_text, number_text, ms_text = whole(epoch), whole(number), whole(ms)
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], number_text .. '-0', 't', ms_text, 'b', ARGV[1])
-- The expiry is set, and old messages are deleted, at most once an hour, because both cost as much as the rest. The
-- keys therefore expire up to an hour later than they need to. A clock that was set back does not delay it.
local hour = 3600000
if ms - expiry_set >= hour or ms < expiry_set then
  redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[4]) + hour)
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
  redis.call('HSET', KEYS[2], 'x', ms_text)
  -- A few messages at a time, and not all that may be old, so that no append takes long.
  for _ = 1, 16 do
    local oldest, kept = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 4), nil
    for _, entry in ipairs(oldest) do
      if tonumber(entry[2][2]) >= ms - tonumber(ARGV[4]) then
        kept = true
        break
      end
      redis.call('XDEL', KEYS[1], entry[1])
    end
    if kept or #oldest == 0 then
      break
    end
  end
end
if once > 0 then
  redis.call('SET', KEYS[3], epoch_text .. ' ' .. number_text, 'PX', once)
end
local stored_at = position(epoch, number)
redis.call('PUBLISH', ARGV[2], ARGV[7] .. 'M' .. stored_at .. ' ' .. ARGV[1])
local out = outbox(KEYS[4], KEYS[5], ARGV[11])
if out then
  fact(out, 'message.stored', '{"namespace":' .. cjson.encode(ARGV[12]) .. ',"messageId":"' .. stored_at .. '",' .. ARGV[1])
end
return { epoch_text, number_text, 1 }
