CREATE TABLE signing_keys (
    kid        TEXT        PRIMARY KEY,
    pkcs8      BYTEA       NOT NULL,
    state      TEXT        NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- At most one key signs, however many services make one at the same time.
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (state) WHERE state = 'current';
