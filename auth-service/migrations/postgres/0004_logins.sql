-- One row for each login, which is one family of refresh tokens: a refresh changes the row and adds none.
-- Of refresh tokens only hashes are stored. The nonce makes one token from the one before; it is no token by itself.
CREATE TABLE logins (
    id           UUID        PRIMARY KEY,
    user_id      UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   TIMESTAMPTZ NOT NULL,
    -- The end, however often the login is refreshed.
    expires_at   TIMESTAMPTZ NOT NULL,
    ended_at     TIMESTAMPTZ,
    -- Expiry of the last of its access tokens.
    tokens_until TIMESTAMPTZ NOT NULL,
    -- The number of the current refresh token, its SHA-256, and the time since when it is the current one.
    number       BIGINT      NOT NULL,
    token_hash   BYTEA       NOT NULL CHECK (length(token_hash) = 32),
    rotated_at   TIMESTAMPTZ NOT NULL,
    nonce        BYTEA       NOT NULL CHECK (length(nonce) = 32)
);

-- No index has a column that a refresh changes, so that Postgres can update rows within their pages.
CREATE INDEX logins_of_user ON logins (user_id);
CREATE INDEX logins_expired ON logins (expires_at);
CREATE INDEX logins_ended ON logins (ended_at) WHERE ended_at IS NOT NULL;
ALTER TABLE logins SET (fillfactor = 80);
