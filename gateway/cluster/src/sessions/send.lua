-- Sends an order to a user's sessions, once to each node that holds some of them.
-- KEYS: 1 the user's sessions
-- ARGV: 1 prefix of every node's channel, 2 a session to leave out, or "", 3 the kind of message, 4 its content,
--       5 the bytes before the message that carry the current trace span, or ""
-- Returns the number of sessions it was sent to.
-- Publishes for each node on its channel: ARGV[5], the kind, the sessions separated by commas, a space, and ARGV[4].

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
