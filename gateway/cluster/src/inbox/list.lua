-- Lists notifications, newest first. Atomic.
--
-- ARGV[6]  only ids before this one, or "" for the newest
-- ARGV[7]  maximum number
-- Returns  {number of unread ones, 1 if there are older ones else 0, {1 if read else 0, "<time> <body>", …}}

forget_old()
local from = ARGV[6] == '' and '+' or '(' .. ARGV[6]
local limit = tonumber(ARGV[7])
local ids = redis.call('ZREVRANGEBYLEX', KEYS[2], from, '-', 'LIMIT', 0, limit + 1)
local more = 0
if #ids > limit then
  more = 1
  ids[#ids] = nil
end
local page = {}
for _, id in ipairs(ids) do
  page[#page + 1] = 1 - redis.call('SISMEMBER', KEYS[3], id)
  page[#page + 1] = redis.call('HGET', KEYS[4], id)
end
push_if_changed()
return { unread(), more, page }
