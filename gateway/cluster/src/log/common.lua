-- Common beginning of the scripts that number messages. Begins with redis/term.lua. A log's head is a hash: e (epoch,
-- microseconds at which it began), n (last number), t (the partition's term when the epoch began), p (for each earlier
-- epoch of which nothing is known to be lost, oldest first: a space, the epoch, a colon, its last number), b (last number
-- before these), x (when the keys' expiry was last set, Unix milliseconds).

-- How many earlier epochs a head has. More would make it a kind of hash that takes more memory.
local epochs_known = 3

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

-- The epoch, last number, base and earlier epochs as in the head, of a log, and how much is left of the epoch that the
-- caller has seen: its last number, or nil if nobody knows. Nil without a log.
--
-- A new epoch, higher than any that the caller has seen, begins if the log has lost messages that the caller has seen: its
-- position is behind the end of its epoch, or in an epoch between those that the log knows. Then the log forgets the
-- earlier epochs. One begins also in a new term: messages may have been lost that nobody tells of, and their numbers are
-- not to be given again in the same epoch. Then whoever has seen no more than is left of the earlier epochs goes on.
-- `seen_epoch` is 0 if the caller has seen none.
local function end_of_log(head, seen_epoch, seen_number)
  local state = redis.call('HMGET', head, 'e', 'n', 'b', 'p', 't')
  if not state[1] then
    return nil
  end
  local epoch, last, base, earlier = tonumber(state[1]), tonumber(state[2] or 0), tonumber(state[3] or 0), state[4] or ''
  local term = term_of(head)
  local left = seen_epoch == epoch and last or tonumber(string.match(earlier, ' ' .. whole(seen_epoch) .. ':(%d+)'))
  local oldest = tonumber(string.match(earlier, '^ (%d+)') or epoch)
  if (left and seen_number > left) or (not left and seen_epoch > oldest) then
    epoch, base, earlier = math.max(us, seen_epoch + 1, epoch + 1), last, ''
    redis.call('HSET', head, 'e', whole(epoch), 'b', whole(base), 'p', earlier, 't', term or '')
  elseif is_other_term(state[5], term) then
    earlier = earlier .. ' ' .. whole(epoch) .. ':' .. whole(last)
    local _, count = string.gsub(earlier, ':', '')
    if count > epochs_known then
      local forgotten, rest = string.match(earlier, '^ %d+:(%d+)(.*)$')
      base, earlier = tonumber(forgotten), rest
    end
    -- After a failover, the new server's clock may be behind.
    epoch = math.max(us, epoch + 1)
    redis.call('HSET', head, 'e', whole(epoch), 'b', whole(base), 'p', earlier, 't', term)
  end
  return epoch, last, base, earlier, left
end

-- Gives the next number of a log, which may begin with it. Returns the epoch, the number, and when the expiry was set.
local function next_number(stream, head, seen_epoch, seen_number)
  local state = redis.call('HMGET', head, 'e', 'n', 't', 'x')
  local epoch, expiry_set = tonumber(state[1] or 0), tonumber(state[4] or 0)
  if epoch == 0 then
    epoch = math.max(us, seen_epoch + 1)
    redis.call('HSET', head, 'e', whole(epoch), 'n', 0, 't', term_of(head) or '')
    -- Delete messages of an expired epoch, whose numbers would collide.
    redis.call('DEL', stream)
  else
    local is_seen = seen_epoch == 0 or (seen_epoch == epoch and seen_number <= tonumber(state[2] or 0))
    if not is_seen or is_other_term(state[3], term_of(head)) then
      epoch = end_of_log(head, seen_epoch, seen_number)
    end
  end
  return epoch, redis.call('HINCRBY', head, 'n', 1), expiry_set
end

