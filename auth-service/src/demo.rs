//! The two demo users. Their password is public, so the service creates them only if `seed.enabled` is set.

use std::net::IpAddr;

use jackfield_shared::claims::Role;

use crate::{
    app::App,
    logins::now,
    passwords::{OWN, PasswordError, Passwords},
    revoker::{Reason, RevokeError, count_ended},
    rules::Email,
    users::{Account, User, Users, UsersError},
};

/// The password of both demo users. It breaks the rules for registration on purpose: sign-in does not check them.
pub const PASSWORD: &str = "test123";

/// Address, full name and roles of each.
pub const USERS: [(&str, &str, &[Role]); 2] =
    [("test1@mail.com", "Test 1", &[Role::Admin]), ("test2@mail.com", "Test 2", &[Role::Admin, Role::User])];

/// Why the demo users could not be created or reset.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Could not hash.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Could not store.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Could not tell the gateways.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
}

/// Creates the missing demo users; leaves the others unchanged.
///
/// # Errors
/// [`DemoError`].
pub async fn create_missing(users: &Users, passwords: &Passwords) -> Result<(), DemoError> {
    for (address, name, roles) in USERS {
        let email = Email::new(address);
        if users.find_by_email(&email).await?.is_none() {
            users.insert(&account(&email, name, roles, passwords, OWN).await?).await?;
        }
    }
    Ok(())
}

/// Resets both to their initial state, ends their logins, and returns them. The hashes wait for turns of `client`.
///
/// # Errors
/// [`DemoError`].
pub async fn reset(app: &App, client: IpAddr) -> Result<Vec<User>, DemoError> {
    app.revoker.check().await?;
    let mut accounts = Vec::with_capacity(USERS.len());
    for (address, name, roles) in USERS {
        accounts.push(account(&Email::new(address), name, roles, &app.passwords, client).await?);
    }
    let mut change = app.logins.begin().await?;
    let (mut users, mut entries, mut logins) = (Vec::with_capacity(USERS.len()), Vec::new(), 0);
    for account in &accounts {
        let user = change.reset_user(account).await?;
        let now = now();
        let tokens_until = change.tokens_until(user.id).await?.unwrap_or(now);
        let ended = change.end_all(user.id, None, now).await?;
        logins += ended.len();
        entries.extend(app.revoker.ended(&ended, Reason::Reset, now));
        // An administrator may have changed both.
        entries.push(app.revoker.active(user.id, true, now, tokens_until));
        entries.push(app.revoker.roles(user.id, &user.roles, now, tokens_until));
        users.push(user);
    }
    app.revoker.commit(change, &entries).await?;
    count_ended(Reason::Reset, logins);
    Ok(users)
}

async fn account(
    email: &Email,
    name: &str,
    roles: &[Role],
    passwords: &Passwords,
    client: IpAddr,
) -> Result<Account, PasswordError> {
    let (password_hash, _) = passwords.turn(client).await?.hash(PASSWORD.to_owned()).await?;
    Ok(Account { user: User::new(email, name, roles), password_hash })
}
