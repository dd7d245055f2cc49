-- The address is stored trimmed and in lower case; the service sees to it, and the check keeps it so.
-- Roles are a JSON array; times are RFC 3339.
CREATE TABLE users (
    id            TEXT    PRIMARY KEY,
    email         TEXT    NOT NULL UNIQUE CHECK (email = lower(email)),
    password_hash TEXT    NOT NULL,
    full_name     TEXT    NOT NULL,
    is_active     INTEGER NOT NULL DEFAULT 1,
    roles         TEXT    NOT NULL CHECK (json_valid(roles)),
    created_at    TEXT    NOT NULL,
    updated_at    TEXT    NOT NULL
) STRICT;
