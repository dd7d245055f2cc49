-- Common beginning of the scripts that use records. A record is a hash: s (session), t (marks of the client's token),
-- "n<namespace>" -> socket, and "r<namespace> <number>" -> room for each stay of that socket in a room, "w<namespace>" ->
-- the users whose presence it watches, as JSON. `records` is the prefix of their names.

-- How long a record is kept without a change while its session lives, in milliseconds: seven days.
local record_kept = 604800000

-- The session that a record belongs to, if the record has a socket in the namespace; else nil.
local function session_of_record(records, record, namespace)
  local found = redis.call('HMGET', records .. record, 's', 'n' .. namespace)
  return found[1] and found[2] and found[1] or nil
end

-- The numbers of a record's stays in the namespace's rooms, each followed by the room; the namespace's socket; the users
-- that it watches, or ''; and the marks of the client's token.
local function stays_in_record(key, namespace)
  local socket, watched, marks, stays = nil, '', '', {}
  local of_room = 'r' .. namespace .. ' '
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    if flat[i] == 'n' .. namespace then
      socket = flat[i + 1]
    elseif flat[i] == 't' then
      marks = flat[i + 1]
    elseif flat[i] == 'w' .. namespace then
      watched = flat[i + 1]
    elseif string.sub(flat[i], 1, #of_room) == of_room then
      stays[#stays + 1] = string.sub(flat[i], #of_room + 1)
      stays[#stays + 1] = flat[i + 1]
    end
  end
  return stays, socket, watched, marks
end

-- Passes a record on to a session, whose token has these marks. Returns its parts as `stays_in_record` does.
local function take_record(records, record, session, marks, namespace)
  local key = records .. record
  local stays, socket, watched, before = stays_in_record(key, namespace)
  redis.call('HSET', key, 's', session, 't', marks)
  redis.call('PEXPIRE', key, record_kept)
  return stays, socket, watched, before
end

-- Adds a new socket in the namespace to a session's record, which may be new, too.
local function begin_record(records, record, session, marks, namespace, socket)
  redis.call('HSET', records .. record, 's', session, 't', marks, 'n' .. namespace, socket)
  redis.call('PEXPIRE', records .. record, record_kept)
end

