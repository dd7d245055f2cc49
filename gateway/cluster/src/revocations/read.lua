-- Reads the entries after a position. Atomic. Begins with revocations/common.lua.
--
-- ARGV[1]  epoch and ARGV[2] number of the position, 0 and 0 for the beginning
-- ARGV[3]  most entries
-- Returns  {epoch, number up to which the page goes, 1 if it is the last page or else 0, {{number, entry}…}}

local epoch, last = end_of_list()
local seen_epoch, seen = tonumber(ARGV[1]), tonumber(ARGV[2])
if seen_epoch > epoch or (seen_epoch == epoch and seen > last) then
  -- The list has lost its newest entries.
  epoch = begin_epoch(seen_epoch)
end
if seen_epoch ~= epoch then
  seen = 0
end
local limit = tonumber(ARGV[3])
local found = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. whole(seen), '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local page = {}
for i = 1, #found, 2 do
  page[#page + 1] = { found[i + 1], redis.call('HGET', KEYS[2], found[i]) }
end
local is_last = #page < limit
return { whole(epoch), is_last and whole(last) or page[#page][1], is_last and 1 or 0, page }
