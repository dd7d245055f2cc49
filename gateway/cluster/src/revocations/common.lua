-- Common beginning of the scripts that use the list of revocations.
--
-- KEYS[1]  hash: e (epoch, microseconds at which it began), n (last number)
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
  redis.call('HSET', KEYS[1], 'e', whole(epoch))
  return epoch
end

-- The epoch and the last number of the list, which begins here if there is none.
local function end_of_list()
  local head = redis.call('HMGET', KEYS[1], 'e', 'n')
  local epoch = tonumber(head[1] or begin_epoch(0))
  return epoch, tonumber(head[2] or 0)
end

