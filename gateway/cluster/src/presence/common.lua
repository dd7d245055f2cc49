-- The facts about users in a scope. Begins with facts/common.lua.

-- The outbox of a script about one user in one scope; nil if no facts are recorded.
--
-- stream, head  of the partition of facts
-- settings      of the outbox
-- namespace     and `room`: both nil in the cluster's scope
local function presence_outbox(stream, head, settings, namespace, room)
  local out = outbox(stream, head, settings)
  if out then
    out.namespace, out.room = namespace, room
  end
  return out
end

-- Records that a user arrived in the scope, which in a room then has this many members.
local function arrived(out, user, members)
  if not out then
    return
  end
  if not out.room then
    return fact(out, 'user.online', 'user', user)
  end
  if members == 1 then
    fact(out, 'room.occupied', 'namespace', out.namespace, 'room', out.room)
  end
  fact(out, 'room.joined', 'namespace', out.namespace, 'room', out.room, 'user', user)
end

-- Ends a user's presence in a scope: removes the member of a room, announces the departure, and records it.
--
-- members_key    hash of the room's members; nil in the cluster's scope
-- announce_max   a room with more members than this gets no announcement
local function depart(channel, user, announce_max, members_key, ms, out)
  local members, about = 0, user
  if members_key then
    members, about = redis.call('HLEN', members_key), redis.call('HGET', members_key, user)
    redis.call('HDEL', members_key, user)
  end
  if about and members <= tonumber(announce_max) then
    redis.call('PUBLISH', channel, string.format('-%.0f %s', ms, about))
  end
  if not out or not about then
    return
  end
  if not out.room then
    return fact(out, 'user.offline', 'user', user)
  end
  fact(out, 'room.left', 'namespace', out.namespace, 'room', out.room, 'user', user)
  if members == 1 then
    fact(out, 'room.vacated', 'namespace', out.namespace, 'room', out.room)
  end
end

