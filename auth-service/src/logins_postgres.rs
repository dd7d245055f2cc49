//! The statements of [`Logins`](crate::logins::Logins) for Postgres.

use crate::{logins::Statements, users_postgres};

pub(crate) static SQL: Statements = Statements {
    users: &users_postgres::SQL,
    find: "SELECT l.id::text AS login_id, l.user_id::text AS user_id, l.created_at, l.expires_at, l.ended_at,
            l.tokens_until, l.number, l.token_hash, l.rotated_at, l.nonce,
            u.id::text AS id, u.email, u.password_hash, u.full_name, u.is_active, to_json(u.roles)::text AS roles
        FROM logins l JOIN users u ON u.id = l.user_id WHERE l.id = $1::uuid",
    rotate: "UPDATE logins SET number = $3, token_hash = $4, rotated_at = $5,
            tokens_until = GREATEST(tokens_until, $6)
        WHERE id = $1::uuid AND token_hash = $2 AND ended_at IS NULL AND expires_at > $5",
    extend: "UPDATE logins SET tokens_until = GREATEST(tokens_until, $3)
        WHERE id = $1::uuid AND ended_at IS NULL AND expires_at > $2",
    // A row that another transaction has locked is left for the next time.
    delete_ended: "DELETE FROM logins WHERE id IN (
        SELECT id FROM logins WHERE ended_at < $1 AND tokens_until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    delete_expired: "DELETE FROM logins WHERE id IN (
        SELECT id FROM logins WHERE expires_at < $1 AND tokens_until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    lock_user: "SELECT id::text AS id, email, password_hash, full_name, is_active, to_json(roles)::text AS roles
        FROM users WHERE id = $1::uuid FOR NO KEY UPDATE",
    insert:
        "INSERT INTO logins (id, user_id, created_at, expires_at, tokens_until, number, token_hash, rotated_at, nonce)
        VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8, $9)",
    end_oldest: "UPDATE logins SET ended_at = $4 WHERE id IN (
        SELECT id FROM logins WHERE user_id = $1::uuid AND id <> $2::uuid AND ended_at IS NULL AND expires_at > $4
        ORDER BY created_at DESC, id DESC OFFSET $3)",
    end: "UPDATE logins SET ended_at = $2 WHERE id = $1::uuid AND ended_at IS NULL AND expires_at > $2
        RETURNING id::text AS id, user_id::text AS user_id, tokens_until",
    end_all: "UPDATE logins SET ended_at = $2
        WHERE user_id = $1::uuid AND id <> $3::uuid AND ended_at IS NULL AND expires_at > $2
        RETURNING id::text AS id, user_id::text AS user_id, tokens_until",
    is_open: "SELECT 1 FROM logins WHERE id = $1::uuid AND ended_at IS NULL AND expires_at > $2",
    tokens_until: "SELECT max(tokens_until) FROM logins WHERE user_id = $1::uuid",
    ended_with_tokens: "SELECT id::text AS id, user_id::text AS user_id, tokens_until FROM logins
        WHERE ended_at IS NOT NULL AND tokens_until > $1 AND id > $2::uuid ORDER BY id LIMIT $3",
    update_user: "UPDATE users SET full_name = $2, is_active = $3,
            roles = ARRAY(SELECT json_array_elements_text($4::json)), updated_at = $5
        WHERE id = $1::uuid",
};
