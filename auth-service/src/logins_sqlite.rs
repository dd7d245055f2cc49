//! The statements of [`Logins`](crate::logins::Logins) for SQLite. They store and compare times as text of one length:
//! RFC 3339 in UTC, with milliseconds.

use crate::{logins::Statements, users_sqlite};

pub(crate) static SQL: Statements = Statements {
    users: &users_sqlite::SQL,
    find: "SELECT l.id AS login_id, l.user_id, l.created_at, l.expires_at, l.ended_at, l.tokens_until, l.number,
            l.token_hash, l.rotated_at, l.nonce,
            u.id, u.email, u.password_hash, u.full_name, u.is_active, u.roles
        FROM logins l JOIN users u ON u.id = l.user_id WHERE l.id = $1",
    rotate: "UPDATE logins SET number = $3, token_hash = $4, rotated_at = strftime('%Y-%m-%dT%H:%M:%fZ', $5),
            tokens_until = max(tokens_until, strftime('%Y-%m-%dT%H:%M:%fZ', $6))
        WHERE id = $1 AND token_hash = $2 AND ended_at IS NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', $5)",
    extend: "UPDATE logins SET tokens_until = max(tokens_until, strftime('%Y-%m-%dT%H:%M:%fZ', $3))
        WHERE id = $1 AND ended_at IS NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', $2)",
    delete_ended: "DELETE FROM logins WHERE id IN (
        SELECT id FROM logins WHERE ended_at < strftime('%Y-%m-%dT%H:%M:%fZ', $1)
            AND tokens_until < strftime('%Y-%m-%dT%H:%M:%fZ', $1) LIMIT $2)",
    delete_expired: "DELETE FROM logins WHERE id IN (
        SELECT id FROM logins WHERE expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', $1)
            AND tokens_until < strftime('%Y-%m-%dT%H:%M:%fZ', $1) LIMIT $2)",
    // A transaction that writes has locked everything.
    lock_user: users_sqlite::SQL.find,
    insert:
        "INSERT INTO logins (id, user_id, created_at, expires_at, tokens_until, number, token_hash, rotated_at, nonce)
        VALUES ($1, $2, strftime('%Y-%m-%dT%H:%M:%fZ', $3), strftime('%Y-%m-%dT%H:%M:%fZ', $4),
            strftime('%Y-%m-%dT%H:%M:%fZ', $5), $6, $7, strftime('%Y-%m-%dT%H:%M:%fZ', $8), $9)",
    end_oldest: "UPDATE logins SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', $4) WHERE id IN (
        SELECT id FROM logins WHERE user_id = $1 AND id <> $2 AND ended_at IS NULL
            AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', $4)
        ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET $3)",
    end: "UPDATE logins SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', $2)
        WHERE id = $1 AND ended_at IS NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', $2)
        RETURNING id, user_id, tokens_until",
    end_all: "UPDATE logins SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', $2)
        WHERE user_id = $1 AND id <> $3 AND ended_at IS NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', $2)
        RETURNING id, user_id, tokens_until",
    is_open: "SELECT 1 FROM logins
        WHERE id = $1 AND ended_at IS NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', $2)",
    tokens_until: "SELECT max(tokens_until) FROM logins WHERE user_id = $1",
    ended_with_tokens: "SELECT id, user_id, tokens_until FROM logins
        WHERE ended_at IS NOT NULL AND tokens_until > strftime('%Y-%m-%dT%H:%M:%fZ', $1) AND id > $2
        ORDER BY id LIMIT $3",
    update_user: "UPDATE users SET full_name = $2, is_active = $3, roles = $4,
            updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', $5)
        WHERE id = $1",
};
