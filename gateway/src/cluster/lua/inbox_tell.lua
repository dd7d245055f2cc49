-- Pushes the count to one session.
--
-- ARGV[5]  the session
-- ARGV[6]  its node
-- Returns  number of unread notifications

push_where_changed()
redis.call('PUBLISH', ARGV[1] .. ARGV[6], 'U' .. ARGV[5] .. ' ' .. count_event())
return unread()
