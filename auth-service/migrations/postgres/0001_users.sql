-- The address is stored trimmed and in lower case; the service sees to it, and the check keeps it so.
CREATE TABLE users (
    id            UUID        PRIMARY KEY,
    email         TEXT        NOT NULL UNIQUE CHECK (email = lower(email)),
    password_hash TEXT        NOT NULL,
    full_name     TEXT        NOT NULL,
    is_active     BOOLEAN     NOT NULL DEFAULT TRUE,
    roles         TEXT[]      NOT NULL CHECK (roles <@ ARRAY['ADMIN', 'SUPERUSER', 'USER']),
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL
);
