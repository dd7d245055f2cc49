-- Reads a range of a room's log, and the log's end. Atomic. Writes nothing for a room without a log. If the log ends
-- before a position that the caller has seen, it has lost its newest messages: then begins a new epoch, higher than any
-- that the caller has seen.
--
-- KEYS[1]  stream of the room's messages: ids "<number>-0", fields t (Unix milliseconds) and b (body)
-- KEYS[2]  hash: e (epoch, microseconds at which it began), n (last number), b (last number before the epoch began)
-- ARGV[1]  "after", "before" or "newest"
-- ARGV[2]  number
-- ARGV[3]  maximum number of messages
-- ARGV[4]  how long messages are kept, in milliseconds
-- ARGV[5]  how long the epoch of an unused room is kept, in milliseconds
-- ARGV[6]  epoch that the caller has seen, or 0
-- ARGV[7]  number that the caller has seen in that epoch
-- ARGV[8]  epoch of rooms without a log
-- ARGV[9]  "after" only: maximum bytes of bodies; the first body is returned however long it is
-- Returns  {epoch, last number, last number before the epoch, {number, body, number, body…} in the room's order,
--          milliseconds until the first of these messages is too old to be kept}

local now = redis.call('TIME')
local us = tonumber(now[1]) * 1000000 + tonumber(now[2])
local state = redis.call('HMGET', KEYS[2], 'e', 'n', 'b')
local epoch, last, base = state[1], tonumber(state[2] or 0), tonumber(state[3] or 0)
if not epoch then
  return { ARGV[8], '0', '0', {}, ARGV[4] }
end
local seen = tonumber(ARGV[6])
if seen > tonumber(epoch) or (ARGV[6] == epoch and last < tonumber(ARGV[7])) then
  -- After a failover, the new server's clock may be behind.
  epoch = string.format('%.0f', math.max(us, seen + 1))
  base = last
  redis.call('HSET', KEYS[2], 'e', epoch, 'b', string.format('%.0f', base))
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])

local entries
if ARGV[1] == 'after' then
  local from, left, bytes, most = ARGV[2] .. '-0', tonumber(ARGV[3]), 0, tonumber(ARGV[9])
  entries = {}
  while left > 0 do
    local some = redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', math.min(left, 100))
    if #some == 0 then
      break
    end
    for _, entry in ipairs(some) do
      bytes = bytes + #entry[2][4]
      if bytes > most and #entries > 0 then
        left = 0
        break
      end
      entries[#entries + 1] = entry
    end
    from, left = some[#some][1], left - #some
  end
elseif ARGV[1] == 'before' then
  -- There is no message before number 0, and Redis refuses an interval that ends before 0.
  entries = ARGV[2] ~= '0' and redis.call('XREVRANGE', KEYS[1], '(' .. ARGV[2] .. '-0', '-', 'COUNT', ARGV[3])
else
  entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[3])
end
-- Redis answers a COUNT of 0 with nil.
entries = entries or {}
local oldest = math.floor(us / 1000) - tonumber(ARGV[4])
local flat = {}
local kept_for = tonumber(ARGV[4])
local first, past, step = 1, #entries, 1
if ARGV[1] ~= 'after' then
  first, past, step = #entries, 1, -1
end
for i = first, past, step do
  local id, fields = entries[i][1], entries[i][2]
  local age_left = tonumber(fields[2]) - oldest
  if age_left >= 0 then
    kept_for = math.min(kept_for, age_left)
    flat[#flat + 1] = string.match(id, '^%d+')
    flat[#flat + 1] = fields[4]
  end
end
return { epoch, string.format('%.0f', last), string.format('%.0f', base), flat, string.format('%.0f', kept_for) }
