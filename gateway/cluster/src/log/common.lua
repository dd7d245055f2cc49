-- Common beginning of the scripts that number messages. A log's head is a hash: e (epoch, microseconds at which it
-- began), n (last number), b (last number before the epoch).

local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ms = math.floor(us / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

-- A position as text: 14 hex digits, "-", 12 digits.
local function position(epoch, number)
  -- A Lua number has 53 bits, and %x may not format all of them: the epoch is written in two halves.
  local high = math.floor(epoch / 16777216)
  return string.format('%08x%06x-%012.0f', high, epoch - high * 16777216, number)
end

-- The epoch, last number, and last number before the epoch of a log; nil without a log. If the log ends before a
-- position that the caller has seen, it has lost its newest messages: then begins a new epoch, higher than any that the
-- caller has seen. `seen_epoch` is 0 if the caller has seen none.
local function end_of_log(head, seen_epoch, seen_number)
  local state = redis.call('HMGET', head, 'e', 'n', 'b')
  if not state[1] then
    return nil
  end
  local epoch, last, base = tonumber(state[1]), tonumber(state[2] or 0), tonumber(state[3] or 0)
  if seen_epoch > epoch or (seen_epoch == epoch and last < seen_number) then
    -- After a failover, the new server's clock may be behind.
    epoch, base = math.max(us, seen_epoch + 1), last
    redis.call('HSET', head, 'e', whole(epoch), 'b', whole(base))
  end
  return epoch, last, base
end

