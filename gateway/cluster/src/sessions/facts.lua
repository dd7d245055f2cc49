-- The facts about a user's sessions. Begins with facts/common.lua.

-- The node of a session's holder.
local function node_of(holder)
  return string.match(holder, '^[^:]*')
end

-- Records that a session began. The namespace and the id of its socket may be ''.
local function session_started(out, user, entry, namespace, socket)
  if out then
    fact(out, 'session.started', 'session', entry.session, 'user', user, 'node', node_of(entry.holder), 'namespace',
      namespace, 'socketId', socket)
  end
end

-- Records that a session ended.
local function session_ended(out, user, entry, reason)
  if out then
    fact(out, 'session.ended', 'session', entry.session, 'user', user, 'reason', reason, 'node', node_of(entry.holder))
  end
end

-- Records that these sessions ended; the list is nil if nothing is recorded.
local function sessions_ended(out, user, entries, reason)
  if out then
    for _, entry in ipairs(entries) do
      session_ended(out, user, entry, reason)
    end
  end
end

