-- Ends a user's sessions, by one message to each node that holds some of them. Atomic. Begins with sessions/common.lua.
--
-- KEYS[1]  hash of the user's sessions
-- ARGV[1]  prefix of every node's channel
-- ARGV[2]  bytes in front of the message: the caller's trace span, or empty
-- ARGV[3]  the reason sent to the clients
-- Returns  number of sessions
-- Publishes ARGV[2], "K", the node's sessions separated by commas, a space, and ARGV[3], on each node's channel.

local flat = redis.call('HGETALL', KEYS[1])
for node, sessions in pairs(by_node(flat)) do
  redis.call('PUBLISH', ARGV[1] .. node, ARGV[2] .. 'K' .. sessions .. ' ' .. ARGV[3])
end
return #flat / 2
