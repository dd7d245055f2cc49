-- Sends an order to a user's sessions, once to each node that holds some of them.
-- KEYS: 1 the user's sessions
-- ARGV: 1 what the channel of every node starts with, 2 a session that is left out, or nothing, 3 the kind of notice, 4 what it says,
--       5 what stands before it: the span that this is done in, or nothing
-- Returns how many sessions it went to.
-- Publishes, for each node on its channel: ARGV[5], the kind, the sessions with commas between them, a space, and
-- what it says.

local by_node = {}
local count = 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  if flat[i] ~= ARGV[2] then
    local node = string.match(flat[i + 1], '^%d+ ([^:]+)')
    local sessions = by_node[node]
    by_node[node] = sessions and (sessions .. ',' .. flat[i]) or flat[i]
    count = count + 1
  end
end
for node, sessions in pairs(by_node) do
  redis.call('PUBLISH', ARGV[1] .. node, ARGV[5] .. ARGV[3] .. sessions .. ' ' .. ARGV[4])
end
return count
