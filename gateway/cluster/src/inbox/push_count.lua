-- Pushes the count to one session. Atomic.
--
-- ARGV[5]  the session
-- ARGV[6]  its node
-- Returns  number of unread notifications

forget_old()
push_if_changed()
redis.call('PUBLISH', ARGV[1] .. ARGV[6], message(ARGV[5], ''))
return unread()
