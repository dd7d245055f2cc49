-- One row for each login, which is one family of refresh tokens: a refresh changes the row and adds none.
-- Of refresh tokens only hashes are stored. The nonce makes one token from the one before; it is no token by itself.
-- Times are RFC 3339 in UTC with milliseconds, so that they can be compared as text.
CREATE TABLE logins (
    id           TEXT    PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   TEXT    NOT NULL,
    -- The end, however often the login is refreshed.
    expires_at   TEXT    NOT NULL,
    ended_at     TEXT,
    -- Expiry of the last of its access tokens.
    tokens_until TEXT    NOT NULL,
    -- The number of the current refresh token, its SHA-256, and the time since when it is the current one.
    number       INTEGER NOT NULL,
    token_hash   BLOB    NOT NULL CHECK (length(token_hash) = 32),
    rotated_at   TEXT    NOT NULL,
    nonce        BLOB    NOT NULL CHECK (length(nonce) = 32)
) STRICT;

CREATE INDEX logins_of_user ON logins (user_id);
CREATE INDEX logins_expired ON logins (expires_at);
CREATE INDEX logins_ended ON logins (ended_at) WHERE ended_at IS NOT NULL;
