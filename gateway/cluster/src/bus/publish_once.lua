-- Publishes a message, at most once for each key. Atomic.
--
-- KEYS[1]  exists while the key is remembered
-- ARGV[1]  how long the key is remembered, in milliseconds
-- ARGV[2]  channel
-- ARGV[3]  message
-- Returns  1 if it was published, 0 if it was before
-- Publishes ARGV[3] on ARGV[2].

if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then
  return 0
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
