-- Common beginning of the scripts that use a user's sessions, a hash: session -> "<generation> <incarnation>", with
-- " <record>" behind it if the session's client can be recovered.

-- The sessions of each node, separated by commas. `flat` has sessions, each with its "<generation> <incarnation>".
local function by_node(flat)
  local sessions = {}
  for i = 1, #flat, 2 do
    local node = string.match(flat[i + 1], '^%d+ ([^:]+)')
    sessions[node] = sessions[node] and (sessions[node] .. ',' .. flat[i]) or flat[i]
  end
  return sessions
end

-- The registered sessions except one, oldest first. Removes those of dead incarnations, and adds their entries to the
-- list `removed`, if it is given.
local function sessions_of(key, except, dead, removed)
  local entries = {}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local generation, holder, record = string.match(flat[i + 1], '^(%d+) (%S+) ?(.*)$')
    if dead[holder] then
      redis.call('HDEL', key, flat[i])
      if removed then
        removed[#removed + 1] = { session = flat[i], holder = holder }
      end
    elseif flat[i] ~= except then
      entries[#entries + 1] = {
        session = flat[i], generation = tonumber(generation), holder = holder, record = record,
      }
    end
  end
  table.sort(entries, function(a, b) return a.generation < b.generation end)
  return entries
end

-- Registers a session, with the name of its record or ''. Returns its entry, and whether it was not registered before.
local function register(key, session, generation, holder, record)
  local entry = string.format('%.0f %s', generation, holder)
  local is_new = redis.call('HSET', key, session, record == '' and entry or (entry .. ' ' .. record)) == 1
  return { session = session, generation = generation, holder = holder, record = record }, is_new
end

-- Tells the node of a session, of which this is the entry, that the session was evicted: "E" and the session.
local function publish_eviction(entry, node_channels)
  redis.call('PUBLISH', node_channels .. string.match(entry.holder, '^[^:]*'), 'E' .. entry.session)
end

-- Evicts the first entries above the limit (0 for none), and deletes their records, whose names begin with `records`.
-- Tells their nodes, except for `own`. Returns whether `own` was evicted. Adds the entries of the others to the list
-- `evicted`, if it is given.
local function evict_oldest(key, entries, limit, own, node_channels, records, evicted)
  local lost = false
  if limit > 0 then
    for i = 1, #entries - limit do
      local entry = entries[i]
      redis.call('HDEL', key, entry.session)
      if entry.record ~= '' then
        -- On a Redis Cluster this key may be on its way to another server, and not to be found: it will expire.
        redis.pcall('DEL', records .. entry.record)
      end
      if entry.session == own then
        lost = true
      else
        publish_eviction(entry, node_channels)
        if evicted then
          evicted[#evicted + 1] = entry
        end
      end
    end
  end
  return lost
end

