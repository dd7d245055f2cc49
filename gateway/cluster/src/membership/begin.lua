-- Begins a lease, unless a node whose lease holds has another layout of servers in its settings. Atomic.
--
-- KEYS[1]  sorted set of incarnations by the end of their lease (Unix milliseconds)
-- KEYS[2]  hash: incarnation -> since when it has held its lease without a break (Unix milliseconds)
-- KEYS[3]  since when Redis has kept its data (Unix microseconds); set to now if it does not exist
-- KEYS[4]  hash: node's tag -> `<incarnation> <address>`
-- KEYS[5]  hash: incarnation -> "<end of its lease, Unix milliseconds> <layout>"
-- ARGV[1]  incarnation
-- ARGV[2]  term in milliseconds
-- ARGV[3]  the node's tag, and ARGV[4] its address
-- ARGV[5]  layout: this server's place among the servers, and their number
-- Returns  {KEYS[3], '', ''}, or if there is another layout {0, the incarnation that has it, the layout}

local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local known = redis.call('HGETALL', KEYS[5])
for i = 1, #known, 2 do
  local ends, layout = string.match(known[i + 1], '^(%d+) (.*)$')
  if not ends or tonumber(ends) <= ms then
    redis.call('HDEL', KEYS[5], known[i])
  elseif layout ~= ARGV[5] then
    return { 0, known[i], layout }
  end
end
local ends = string.format('%.0f', ms + tonumber(ARGV[2]))
redis.call('SET', KEYS[3], string.format('%.0f', tonumber(now[1]) * 1000000 + tonumber(now[2])), 'NX')
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', ms))
redis.call('HSET', KEYS[4], ARGV[3], ARGV[1] .. ' ' .. ARGV[4])
redis.call('HSET', KEYS[5], ARGV[1], ends .. ' ' .. ARGV[5])
redis.call('ZADD', KEYS[1], ends, ARGV[1])
return { tonumber(redis.call('GET', KEYS[3])), '', '' }
