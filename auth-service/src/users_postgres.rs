//! [`Users`](crate::users::Users) in Postgres.

use std::{str::FromStr, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::users::{OpenError, Statements, not_a_database};

/// Timeout for getting a connection, from the pool or new.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) static SQL: Statements = Statements {
    find_by_email: "SELECT id::text AS id, email, password_hash, full_name, is_active, to_json(roles)::text AS roles
        FROM users WHERE email = $1",
    find: "SELECT id::text AS id, email, password_hash, full_name, is_active, to_json(roles)::text AS roles
        FROM users WHERE id = $1::uuid",
    list: "SELECT id::text AS id, email, password_hash, full_name, is_active, to_json(roles)::text AS roles
        FROM users WHERE users.id > $1::uuid ORDER BY users.id LIMIT $2",
    changed_since: "SELECT id::text AS id, email, password_hash, full_name, is_active, to_json(roles)::text AS roles,
            updated_at
        FROM users WHERE updated_at > $1 AND updated_at > created_at AND id > $2::uuid ORDER BY id LIMIT $3",
    insert: "INSERT INTO users (id, email, password_hash, full_name, is_active, roles, created_at, updated_at)
        VALUES ($1::uuid, $2, $3, $4, $5, ARRAY(SELECT json_array_elements_text($6::json)), $7, $7)",
    replace_hash: "UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1::uuid AND password_hash = $2",
    begin: "BEGIN",
};

pub(crate) async fn open(url: &str, connections: u32) -> Result<PgPool, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|_| not_a_database())?;
    let options = options.application_name("jackfield-auth");
    let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
    let pool = pool.connect_with(options).await?;
    // They take Postgres's advisory lock, so services that start at the same time wait for each other. They ignore the
    // migrations of a later version: during a roll-out, or after a roll-back, this version works on the newer tables.
    sqlx::migrate!("migrations/postgres").set_ignore_missing(true).run(&pool).await?;
    Ok(pool)
}
