-- Common beginning of the scripts that send to one user. Atomic: all keys of a user share a hash tag. Begins with
-- redis/term.lua, log/common.lua and sessions/common.lua.

-- How many events a user's log keeps, and how long the epoch of an unused one is kept, in milliseconds.
local user_log_kept, user_epoch_kept = 1000, 2595600000

-- Numbers an event, keeps it, and sends it to the nodes that hold the user's sessions. Does nothing for a user without
-- sessions who cannot come back to a record either. Returns the number of sessions.
-- Publishes `front`, "N", the node's sessions separated by commas, the position, and the event, with spaces between the
-- last three, on each node's channel.
--
-- sessions  hash of the user's sessions
-- log       stream of the events: ids "<number>-0", fields t (Unix milliseconds) and b (event)
-- head      the log's head
-- away      exists while the user may come back to a record
-- channels  prefix of every node's channel
-- kept_for  how long the event is kept, in milliseconds; older ones may stay until the log expires, but are never read
-- front     bytes in front of the message: the caller's trace span, or empty
local function send_to_user(sessions, log, head, away, channels, kept_for, front, event)
  local flat = redis.call('HGETALL', sessions)
  if #flat == 0 and redis.call('EXISTS', away) == 0 then
    return 0
  end
  local epoch, number, expiry_set = next_number(log, head, 0, 0)
  redis.call('XADD', log, 'MAXLEN', user_log_kept, whole(number) .. '-0', 't', whole(ms), 'b', event)
  -- Not with every event, because it costs more than the rest: the log expires after once to twice the time that it
  -- needs to be kept. A clock that was set back does not delay it.
  if ms - expiry_set >= kept_for or ms < expiry_set then
    redis.call('PEXPIRE', log, 2 * kept_for)
    redis.call('PEXPIRE', head, user_epoch_kept)
    redis.call('HSET', head, 'x', whole(ms))
  end
  -- More than were added since the last time, so that old events do not stay in the log of a busy user. A few at a
  -- time, because reading an event costs as much as adding one.
  local more = number % 32 == 0
  for _ = 1, 16 do
    if not more then
      break
    end
    local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 4)
    for _, entry in ipairs(oldest) do
      more = tonumber(entry[2][2]) < ms - kept_for
      if not more then
        break
      end
      redis.call('XDEL', log, entry[1])
    end
  end
  local rest = ' ' .. position(epoch, number) .. ' ' .. event
  for node, of_node in pairs(by_node(flat)) do
    redis.call('PUBLISH', channels .. node, front .. 'N' .. of_node .. rest)
  end
  return #flat / 2
end

