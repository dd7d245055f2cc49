-- States: 'next' (published, does not sign yet), 'current' (signs), 'old' (published until its last token ended).
-- A service of an earlier version inserts and reads 'current' keys without these columns, so all have defaults.
ALTER TABLE signing_keys
    -- When it began to sign, or will; NULL for a 'next' key, and for one that an earlier version made: `created_at`.
    ADD COLUMN current_since TIMESTAMPTZ,
    -- When the last token that it may have signed has ended.
    ADD COLUMN ends_at       TIMESTAMPTZ CHECK (state <> 'old' OR ends_at IS NOT NULL),
    -- The longest lifetime of the tokens that any service signs with it.
    ADD COLUMN token_seconds BIGINT      NOT NULL DEFAULT 0,
    -- Whether `pkcs8` is sealed with the secret of the setting `keys.secret`.
    ADD COLUMN sealed        BOOLEAN     NOT NULL DEFAULT FALSE;

-- The age of an existing key counts from now on: a rotation must not come while services of an earlier version, which
-- would not notice it, are still being replaced.
UPDATE signing_keys SET current_since = now() WHERE state = 'current';

-- At most one key is to sign next, however many services make one at the same time.
CREATE UNIQUE INDEX signing_keys_next ON signing_keys (state) WHERE state = 'next';
