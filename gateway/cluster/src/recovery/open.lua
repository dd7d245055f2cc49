-- Takes a socket from the session's record, or begins a new socket in it. Atomic: all keys are one user's. Begins with
-- sessions/common.lua and recovery/common.lua.
--
-- KEYS[1]  hash of the user's sessions
-- KEYS[2]  the record, whose name is that of ARGV[3]
-- ARGV[1]  session
-- ARGV[2]  prefix of the names of the user's records
-- ARGV[3]  record; another one that the session has is deleted
-- ARGV[4]  namespace
-- ARGV[5]  "resume": the record's socket is wanted; "forget": it is removed; else the id of the new one
-- ARGV[6]  marks of the client's token, for a new socket
-- Returns  {socket, "", users that it watches, marks, number of a stay, room, number, room…} if the record has the wanted
--          socket, else {}

local function forget_socket()
  local key, namespace = ARGV[2] .. ARGV[3], ARGV[4]
  local stays = stays_in_record(key, namespace)
  for i = 1, #stays, 2 do
    redis.call('HDEL', key, 'r' .. namespace .. ' ' .. stays[i])
  end
  redis.call('HDEL', key, 'n' .. namespace, 'w' .. namespace)
end

local entry = redis.call('HGET', KEYS[1], ARGV[1])
local generation, holder, before = string.match(entry or '', '^(%d+) (%S+) ?(.*)$')
if not generation then
  return {}
end
if ARGV[5] == 'resume' or ARGV[5] == 'forget' then
  if session_of_record(ARGV[2], ARGV[3], ARGV[4]) ~= ARGV[1] then
    return {}
  end
  if ARGV[5] == 'forget' then
    forget_socket()
    return {}
  end
  local stays, socket, watched, marks = stays_in_record(ARGV[2] .. ARGV[3], ARGV[4])
  return { socket, '', watched, marks, unpack(stays) }
end
if before ~= ARGV[3] then
  if before ~= '' then
    -- On a Redis Cluster this key may be on its way to another server, and not to be found: it will expire.
    redis.pcall('DEL', ARGV[2] .. before)
  end
  register(KEYS[1], ARGV[1], tonumber(generation), holder, ARGV[3])
end
forget_socket()
begin_record(ARGV[2], ARGV[3], ARGV[1], ARGV[6], ARGV[4], ARGV[5])
return {}
