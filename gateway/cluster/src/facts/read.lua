-- Reads facts of a partition after a position. Atomic. A new epoch may begin, as `end_of_log` says. Begins with
-- redis/term.lua and log/common.lua.
--
-- KEYS[1]  stream of the partition's facts
-- KEYS[2]  the partition's head
-- ARGV[1]  epoch of the position, ARGV[2] its number; 0 and 0 for the oldest fact
-- ARGV[3]  maximum number of facts
-- ARGV[4]  maximum bytes of facts; the first one is returned however long it is
-- Returns  {epoch, last number, number after which was read, 1 if facts after the position may be lost else 0, {number,
--          fact, number, fact…}}; zeros if nothing was ever recorded

local seen_epoch, after = tonumber(ARGV[1]), tonumber(ARGV[2])
local epoch, last, base, earlier, left = end_of_log(KEYS[2], seen_epoch, after)
if not epoch then
  return { '0', '0', '0', 0, {} }
end
local reset = 0
if epoch ~= seen_epoch and not string.find(earlier, ' ' .. whole(seen_epoch) .. ':', 1, true) then
  -- Numbers up to `base` were given before, and are still those of the facts that are kept.
  left = left or base
  reset = after > left and 1 or 0
  after = math.min(after, left)
end

local flat, from, left, bytes = {}, whole(after) .. '-0', tonumber(ARGV[3]), 0
while left > 0 do
  local some = redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', math.min(left, 100))
  if #some == 0 then
    break
  end
  for _, entry in ipairs(some) do
    local body = entry[2][4]
    bytes = bytes + #body
    if bytes > tonumber(ARGV[4]) and #flat > 0 then
      left = 0
      break
    end
    flat[#flat + 1] = string.match(entry[1], '^%d+')
    flat[#flat + 1] = body
  end
  from, left = some[#some][1], left - #some
end
return { whole(epoch), whole(last), whole(after), reset, flat }
