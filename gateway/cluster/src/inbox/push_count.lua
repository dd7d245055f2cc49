-- Pushes the count to one session. Atomic.
--
-- ARGV[6]  the session
-- ARGV[7]  its node
-- Returns  number of unread notifications

forget_old()
push_if_changed()
push_count(ARGV[7], ARGV[6])
return unread()
