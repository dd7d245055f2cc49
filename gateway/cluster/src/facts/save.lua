-- Saves a hook's progress in a partition, if the incarnation holds the partition's lease, and nobody else has changed
-- the progress. Atomic.
--
-- KEYS[1]  the incarnation that holds the lease
-- KEYS[2]  hash of the hook's progress: e and n (epoch and number of its cursor), v (version), d (dropped facts), p (end
--          of its pause, Unix milliseconds, or 0), r (its last failure, or '')
-- KEYS[3]  hash of its parked facts: id -> "<until> <fact>"
-- KEYS[4]  list of its dead facts: "<time of death> <reason> <id> <fact>"
-- ARGV[1]  incarnation
-- ARGV[2]  version that it knows
-- ARGV[3]  how long progress is kept without a change, in milliseconds
-- ARGV[4]  epoch, ARGV[5] number of the cursor
-- ARGV[6]  number of facts dropped since
-- ARGV[7]  end of the pause, ARGV[8] last failure
-- ARGV[9]  how many dead facts are kept
-- ARGV[10] number of facts to park, and ARGV[11] of those to unpark
-- ARGV[12…] id and fact of each to park; ids to unpark; dead facts
-- Returns  the new version; -1 if another one changed the progress, -2 if the lease is lost

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -2
end
if redis.call('HGET', KEYS[2], 'v') ~= ARGV[2] then
  return -1
end
local dropped = tonumber(ARGV[6])
local at = 12
for _ = 1, tonumber(ARGV[10]) do
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, tonumber(ARGV[11]) do
  redis.call('HDEL', KEYS[3], ARGV[at])
  at = at + 1
end
for i = at, #ARGV do
  redis.call('RPUSH', KEYS[4], ARGV[i])
end
local beyond = redis.call('LLEN', KEYS[4]) - tonumber(ARGV[9])
if beyond > 0 then
  redis.call('LTRIM', KEYS[4], beyond, -1)
  dropped = dropped + beyond
end
redis.call('HSET', KEYS[2], 'e', ARGV[4], 'n', ARGV[5], 'p', ARGV[7], 'r', ARGV[8])
if dropped > 0 then
  redis.call('HINCRBY', KEYS[2], 'd', dropped)
end
for i = 2, 4 do
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return redis.call('HINCRBY', KEYS[2], 'v', 1)
