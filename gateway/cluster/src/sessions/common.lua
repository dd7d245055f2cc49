-- Common beginning of the scripts that use a user's sessions, a hash: session -> "<generation> <incarnation>".

-- The sessions of each node, separated by commas. `flat` has sessions, each with its "<generation> <incarnation>".
local function by_node(flat)
  local sessions = {}
  for i = 1, #flat, 2 do
    local node = string.match(flat[i + 1], '^%d+ ([^:]+)')
    sessions[node] = sessions[node] and (sessions[node] .. ',' .. flat[i]) or flat[i]
  end
  return sessions
end

-- The registered sessions except one, oldest first. Removes those of dead incarnations.
local function sessions_of(key, except, dead)
  local entries = {}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local generation, holder = string.match(flat[i + 1], '^(%d+) (.+)$')
    if dead[holder] then
      redis.call('HDEL', key, flat[i])
    elseif flat[i] ~= except then
      entries[#entries + 1] = { session = flat[i], generation = tonumber(generation), holder = holder }
    end
  end
  table.sort(entries, function(a, b) return a.generation < b.generation end)
  return entries
end

-- Registers a session, and returns its entry.
local function register(key, session, generation, holder)
  redis.call('HSET', key, session, string.format('%.0f %s', generation, holder))
  return { session = session, generation = generation, holder = holder }
end

-- Evicts the first entries above the limit (0 for none). Publishes "E" and the session on the node's channel, except
-- for `own`. Returns whether `own` was evicted.
local function evict_oldest(key, entries, limit, own, node_channels)
  local lost = false
  if limit > 0 then
    for i = 1, #entries - limit do
      local entry = entries[i]
      redis.call('HDEL', key, entry.session)
      if entry.session == own then
        lost = true
      else
        redis.call('PUBLISH', node_channels .. string.match(entry.holder, '^[^:]*'), 'E' .. entry.session)
      end
    end
  end
  return lost
end

