-- Returns a hook's progress in a partition. If there is none, begins it. Atomic.
--
-- KEYS[1]  hash of the hook's progress: e and n (epoch and number of its cursor), v (version)
-- KEYS[2]  hash of its parked facts: id -> "<until> <fact>"
-- KEYS[3]  the partition's head
-- ARGV[1]  "end" or "oldest": the fact after which, or with which, new progress begins
-- ARGV[2]  how long progress is kept without a change, in milliseconds
-- ARGV[3]  1 to return the parked facts, too
-- Returns  {epoch, number, version, {id, fact, id, fact…}}

if redis.call('EXISTS', KEYS[1]) == 0 then
  local tip = ARGV[1] == 'end' and redis.call('HMGET', KEYS[3], 'e', 'n') or {}
  redis.call('HSET', KEYS[1], 'e', tip[1] or '0', 'n', tip[1] and tip[2] or '0', 'v', 0)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local found = redis.call('HMGET', KEYS[1], 'e', 'n', 'v')
return { found[1] or '0', found[2] or '0', found[3] or '0', ARGV[3] == '1' and redis.call('HGETALL', KEYS[2]) or {} }
