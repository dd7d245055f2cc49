-- Common beginning of all scripts that read an inbox. Atomic: all keys of a user share a hash tag. A script calls
-- `forget_old` first.
--
-- KEYS[1]  hash of the user's sessions: session -> "<generation> <incarnation>"
-- KEYS[2]  sorted set: ids of notifications, UUID v7 in lower case, all with the score 0 and so oldest first
-- KEYS[3]  set: ids of unread notifications
-- KEYS[4]  hash: id -> "<time> <body>"
-- KEYS[5]  sorted set: recently deleted ids, by time of deletion (Unix milliseconds)
-- ARGV[1]  prefix of every node's channel
-- ARGV[2]  how many notifications are kept, 0 for any number
-- ARGV[3]  how long they are kept, in milliseconds, 0 for ever
-- ARGV[4]  the current time as sent to clients (RFC 3339)
-- ARGV[5…] the script's own arguments

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local max_age = tonumber(ARGV[3])

-- Ids below this text are too old: the first 48 bits of an id are its time in milliseconds.
local oldest = ''
if max_age > 0 then
  local since = math.max(now - max_age, 0)
  local high = math.floor(since / 65536)
  oldest = string.format('%08x-%04x', high, since - high * 65536)
end

local function unread()
  return redis.call('SCARD', KEYS[3])
end

-- Removes notifications from KEYS[2], KEYS[3] and KEYS[4].
local function forget(ids)
  for from = 1, #ids, 1000 do
    local to = math.min(from + 999, #ids)
    redis.call('ZREM', KEYS[2], unpack(ids, from, to))
    redis.call('SREM', KEYS[3], unpack(ids, from, to))
    redis.call('HDEL', KEYS[4], unpack(ids, from, to))
  end
end

-- Removes notifications that are too old.
local unread_before
local function forget_old()
  unread_before = unread()
  if oldest ~= '' then
    forget(redis.call('ZRANGEBYLEX', KEYS[2], '-', '(' .. oldest))
  end
end

-- The message to a node about some of its sessions: "I", the sessions separated by commas, the number of unread
-- notifications, the time, and the change, with spaces between them. The change is empty if only the number is sent.
local function message(sessions, change)
  return 'I' .. sessions .. ' ' .. unread() .. ' ' .. ARGV[4] .. ' ' .. change
end

-- Publishes the change for each node that holds sessions of the user. Returns the number of sessions.
local function push(change)
  local by_node = {}
  local sessions = redis.call('HGETALL', KEYS[1])
  for i = 1, #sessions, 2 do
    local node = string.match(sessions[i + 1], '^%d+ ([^:]+)')
    by_node[node] = by_node[node] and (by_node[node] .. ',' .. sessions[i]) or sessions[i]
  end
  for node, of_node in pairs(by_node) do
    redis.call('PUBLISH', ARGV[1] .. node, message(of_node, change))
  end
  return #sessions / 2
end

-- Pushes the count alone, if it has changed because notifications were removed.
local function push_if_changed()
  if unread() ~= unread_before then
    push('')
  end
end

