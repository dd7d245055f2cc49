-- Reads the position of a message for a caller that waits until replicas or the disk have it. Atomic. Writes it again,
-- because a connection can wait only for what it has written itself, and thereby for everything written before.
--
-- KEYS[1]  position of the message that was stored under the caller's key
-- Returns  KEYS[1], or nil if there is none

local before = redis.call('GET', KEYS[1])
if before then
  redis.call('SET', KEYS[1], before, 'KEEPTTL')
end
return before
