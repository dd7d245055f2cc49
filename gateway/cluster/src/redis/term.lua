-- The term of the partition that has this key: it changes whenever the server may be another one, or may have lost
-- data. Gateways write it before any other command (redis/term.rs). nil if nobody knows it: on a Redis Cluster the key may
-- be on its way to another server, and not to be found.
local function term_of(key)
  local term = redis.pcall('GET', string.sub(key, 1, string.find(key, '}:', 1, true) + 1) .. 'term')
  return type(term) == 'string' and term or nil
end

-- Whether a head that began in the first term may have lost what was written last.
local function is_other_term(before, term)
  return term ~= nil and before ~= term
end

