-- Sends a directive to a user's sessions, in one message to each node that holds some of them. Atomic.
--
-- KEYS[1]  hash of the user's sessions: session -> "<generation> <incarnation>"
-- ARGV[1]  prefix of every node's channel
-- ARGV[2]  a session to skip, or ""
-- ARGV[3]  kind of the message
-- ARGV[4]  content of the message
-- ARGV[5]  bytes in front of the message: the caller's trace span, or empty
-- Returns  number of sessions that it was sent to
-- Publishes ARGV[5], ARGV[3], the node's sessions separated by commas, a space, and ARGV[4], on each node's channel.

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
