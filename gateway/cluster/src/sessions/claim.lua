-- Claims a session, or restores one under its granted generation. Atomic: one user's sessions are one key.
--
-- KEYS[1]  hash of the user's sessions: session -> "<generation> <incarnation>"
-- ARGV[1]  session
-- ARGV[2]  incarnation that claims
-- ARGV[3]  how many sessions the user may have, 0 for any number
-- ARGV[4]  "evict" or "reject": above that limit, the oldest sessions are evicted or the claim is refused
-- ARGV[5]  prefix of every node's channel
-- ARGV[6]  "" for a new generation, else the one to restore (then the oldest sessions are evicted with either ARGV[4])
-- ARGV[7…] dead incarnations, whose sessions are removed
-- Returns  {1, generation} granted | {0, holder, holder…} refused, oldest first | {2} restored, but evicted at once
-- Publishes "E" and the session, for each other session that is evicted, on its node's channel.

local limit = tonumber(ARGV[3])
local dead = {}
for i = 7, #ARGV do
  dead[ARGV[i]] = true
end

local entries = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local generation, holder = string.match(flat[i + 1], '^(%d+) (.+)$')
  if dead[holder] then
    redis.call('HDEL', KEYS[1], flat[i])
  elseif flat[i] ~= ARGV[1] then
    entries[#entries + 1] = { session = flat[i], generation = tonumber(generation), holder = holder }
  end
end
table.sort(entries, function(a, b) return a.generation < b.generation end)

if ARGV[4] == 'reject' and ARGV[6] == '' and limit > 0 and #entries >= limit then
  local refused = { 0 }
  for _, entry in ipairs(entries) do
    refused[#refused + 1] = entry.holder
  end
  return refused
end

local generation
if ARGV[6] == '' then
  -- Redis's clock in microseconds keeps generations in order even if the user's key was empty meanwhile.
  local now = redis.call('TIME')
  generation = tonumber(now[1]) * 1000000 + tonumber(now[2])
  if #entries > 0 and entries[#entries].generation >= generation then
    generation = entries[#entries].generation + 1
  end
else
  generation = tonumber(ARGV[6])
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', generation, ARGV[2]))

entries[#entries + 1] = { session = ARGV[1], generation = generation, holder = ARGV[2] }
table.sort(entries, function(a, b) return a.generation < b.generation end)
local lost = false
if limit > 0 then
  for i = 1, #entries - limit do
    local entry = entries[i]
    redis.call('HDEL', KEYS[1], entry.session)
    if entry.session == ARGV[1] then
      lost = true
    else
      redis.call('PUBLISH', ARGV[5] .. string.match(entry.holder, '^[^:]*'), 'E' .. entry.session)
    end
  end
end
if lost then
  return { 2 }
end
return { 1, string.format('%.0f', generation) }
