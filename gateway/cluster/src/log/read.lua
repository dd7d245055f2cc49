-- Reads a range of a log, and its end. Atomic. Writes nothing if there is no log. A new epoch may begin, as `end_of_log`
-- says. Begins with redis/term.lua and log/common.lua.
--
-- KEYS[1]  stream of the messages: ids "<number>-0", fields t (Unix milliseconds) and b (body)
-- KEYS[2]  the log's head
-- ARGV[1]  "after", "before" or "newest"
-- ARGV[2]  number
-- ARGV[3]  maximum number of messages
-- ARGV[4]  how long messages are kept, in milliseconds
-- ARGV[5]  how long the epoch of an unused log is kept, in milliseconds
-- ARGV[6]  epoch that the caller has seen, or 0
-- ARGV[7]  number that the caller has seen in that epoch
-- ARGV[8]  epoch without a log
-- ARGV[9]  "after" only: maximum bytes of bodies; the first body is returned however long it is
-- Returns  {epoch, last number, base, {earlier epoch, its last number…}, {number, body, number, body…} in order,
--          milliseconds until the first of these messages is too old to be kept}

local epoch, last, base, earlier = end_of_log(KEYS[2], tonumber(ARGV[6]), tonumber(ARGV[7]))
if not epoch then
  return { ARGV[8], '0', '0', {}, {}, ARGV[4] }
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
local oldest = ms - tonumber(ARGV[4])
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
local epochs = {}
for its_epoch, its_last in string.gmatch(earlier, ' (%d+):(%d+)') do
  epochs[#epochs + 1] = its_epoch
  epochs[#epochs + 1] = its_last
end
return { whole(epoch), whole(last), whole(base), epochs, flat, whole(kept_for) }
