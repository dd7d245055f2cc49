-- Common beginning of all scripts that read an inbox. Atomic: all keys of a user share a hash tag. A script calls
-- `forget_old` first. Begins with user_log/common.lua, and what that
-- begins with.
--
-- KEYS[1]  hash of the user's sessions
-- KEYS[2]  sorted set: ids of notifications, UUID v7 in lower case, all with the score 0 and so oldest first
-- KEYS[3]  set: ids of unread notifications
-- KEYS[4]  hash: id -> "<time> <body>"
-- KEYS[5]  sorted set: recently deleted ids, by time of deletion (Unix milliseconds)
-- KEYS[6]  stream of the user's events
-- KEYS[7]  the stream's head
-- KEYS[8]  exists while the user may come back to a record
-- ARGV[1]  prefix of every node's channel
-- ARGV[2]  how many notifications are kept, 0 for any number
-- ARGV[3]  how long they are kept, in milliseconds, 0 for ever
-- ARGV[4]  the current time as sent to clients (RFC 3339)
-- ARGV[5]  how long an event for the user is kept, in milliseconds
-- ARGV[6…] the script's own arguments

local max_age = tonumber(ARGV[3])

-- Ids below this text are too old: the first 48 bits of an id are its time in milliseconds.
local oldest = ''
if max_age > 0 then
  local since = math.max(ms - max_age, 0)
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

-- Sends a change of the inbox, with the number of unread notifications. Returns the number of sessions.
local function push(change)
  local event = 'i' .. unread() .. ' ' .. ARGV[4] .. ' ' .. change
  return send_to_user(KEYS[1], KEYS[6], KEYS[7], KEYS[8], ARGV[1], tonumber(ARGV[5]), '', event)
end

-- Sends a node the number of unread notifications for some of its sessions, separated by commas: "I", the sessions, the
-- number, and the time, with spaces between them.
local function push_count(node, sessions)
  redis.call('PUBLISH', ARGV[1] .. node, 'I' .. sessions .. ' ' .. unread() .. ' ' .. ARGV[4])
end

-- Sends the number to all sessions, if it has changed because notifications were removed.
local function push_if_changed()
  if unread() == unread_before then
    return
  end
  for node, sessions in pairs(by_node(redis.call('HGETALL', KEYS[1]))) do
    push_count(node, sessions)
  end
end

