-- Common beginning of the scripts that use the list of revocations. Begins with redis/term.lua.
--
-- KEYS[1]  hash: e (epoch, microseconds at which it began), n (last number), t (the partition's term when it began)
-- KEYS[2]  hash: subject -> entry, as JSON
-- KEYS[3]  sorted set: subjects by the number of their entry
-- KEYS[4]  sorted set: subjects by the Unix second at which their entry is over

local clock = redis.call('TIME')
local seconds = tonumber(clock[1])

local function whole(number)
  return string.format('%.0f', number)
end

local function begin_epoch(after)
  -- After a failover, the new server's clock may be behind.
  local epoch = math.max(seconds * 1000000 + tonumber(clock[2]), after + 1)
  redis.call('HSET', KEYS[1], 'e', whole(epoch), 't', term_of(KEYS[1]) or '')
  return epoch
end

-- The epoch and the last number of the list, which begins here if there is none. In a new term, entries may be lost, whose
-- numbers must not be given again in the same epoch.
local function end_of_list()
  local head = redis.call('HMGET', KEYS[1], 'e', 'n', 't')
  local epoch = tonumber(head[1] or 0)
  if epoch == 0 or is_other_term(head[3], term_of(KEYS[1])) then
    epoch = begin_epoch(epoch)
  end
  return epoch, tonumber(head[2] or 0)
end

