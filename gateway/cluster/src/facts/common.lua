-- Common beginning of the scripts that record facts. A partition's head is a hash as those of rooms' logs. Begins with
-- redis/term.lua and log/common.lua.

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
  local number, expiry_set = select(2, next_number(out.stream, out.head, 0, 0))
  local body = whole(us) .. ' ' .. kind .. ' ' .. data
  redis.call('XADD', out.stream, 'MAXLEN', '~', out.kept, whole(number) .. '-0', 't', whole(ms), 'b', body)
  -- The expiry is set at most once an hour, because it costs as much as the rest. A clock that was set back does not
  -- delay it.
  if ms - expiry_set >= 3600000 or ms < expiry_set then
    redis.call('PEXPIRE', out.stream, out.kept_for + 3600000)
    -- 30 days, as the epochs of rooms' logs.
    redis.call('PEXPIRE', out.head, 2595600000)
    redis.call('HSET', out.head, 'x', whole(ms))
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

