-- Common beginning of the scripts that record facts. A partition's head is a hash as those of rooms' logs: e (epoch,
-- microseconds at which it began), n (last number), b (last number before the epoch), x (when the keys' expiry was last
-- set, Unix milliseconds).

-- The outbox of a script: nil if nothing that it does is recorded, so that facts that nobody asked for cost nothing.
--
-- stream    stream of the partition's facts: ids "<number>-0", fields t (Unix milliseconds) and b (Unix microseconds,
--           kind and data, with spaces between)
-- head      the partition's head
-- settings  nil or '' if no kind is recorded, else "<facts to keep> <milliseconds to keep them>", and " <kind>" for
--           each kind that is recorded, and a space
local function outbox(stream, head, settings)
  if not settings or settings == '' then
    return nil
  end
  local kept, kept_for, kinds = string.match(settings, '^(%d+) (%d+)( .*)$')
  return { stream = stream, head = head, kept = kept, kept_for = tonumber(kept_for), kinds = kinds }
end

-- A JSON object of these names and values, without those that are ''.
local function object(...)
  local parts = {}
  for i = 1, select('#', ...), 2 do
    local name, value = select(i, ...)
    if value ~= '' then
      parts[#parts + 1] = '"' .. name .. '":' .. cjson.encode(value)
    end
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- Records a fact under the partition's next number, if its kind is wanted. The data are names and values as for
-- `object`, or one JSON text.
local function fact(out, kind, ...)
  if not out or not string.find(out.kinds, ' ' .. kind .. ' ', 1, true) then
    return
  end
  local data = select('#', ...) > 1 and object(...) or (...)
  local clock = redis.call('TIME')
  local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
  local ms = math.floor(us / 1000)
  local state = redis.call('HMGET', out.head, 'e', 'x')
  local expiry_set = tonumber(state[2] or 0)
  if not state[1] then
    redis.call('HSET', out.head, 'e', string.format('%.0f', us), 'n', 0)
    -- Delete facts of an expired epoch, whose numbers would collide.
    redis.call('DEL', out.stream)
  end
  local number = redis.call('HINCRBY', out.head, 'n', 1)
  local body = string.format('%.0f %s %s', us, kind, data)
  redis.call('XADD', out.stream, 'MAXLEN', '~', out.kept, string.format('%.0f-0', number), 't', string.format('%.0f', ms),
    'b', body)
  -- The expiry is set at most once an hour, because it costs as much as the rest. A clock that was set back does not
  -- delay it.
  if ms - expiry_set >= 3600000 or ms < expiry_set then
    redis.call('PEXPIRE', out.stream, out.kept_for + 3600000)
    -- 30 days, as the epochs of rooms' logs.
    redis.call('PEXPIRE', out.head, 2595600000)
    redis.call('HSET', out.head, 'x', string.format('%.0f', ms))
  end
  -- A few at a time, and more than were added since the last time.
  local more = number % 32 == 0
  for _ = 1, 16 do
    if not more then
      break
    end
    local oldest = redis.call('XRANGE', out.stream, '-', '+', 'COUNT', 4)
    more = #oldest > 0
    for _, entry in ipairs(oldest) do
      more = tonumber(entry[2][2]) < ms - out.kept_for
      if not more then
        break
      end
      redis.call('XDEL', out.stream, entry[1])
    end
  end
end

