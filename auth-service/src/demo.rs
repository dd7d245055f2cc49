//! The two demo users. Their password is public, so they exist only where `seed.enabled` is set.

use std::net::IpAddr;

use jackfield_shared::claims::Role;
use uuid::Uuid;

use crate::{
    passwords::{OWN, PasswordError, Passwords},
    rules::Email,
    users::{Account, User, Users, UsersError},
};

/// What both demo users sign in with. Short of what registration asks for, on purpose: sign-in does not check that.
pub const PASSWORD: &str = "test123";

/// Address, full name and roles of each.
pub const USERS: [(&str, &str, &[Role]); 2] =
    [("test1@mail.com", "Test 1", &[Role::Admin]), ("test2@mail.com", "Test 2", &[Role::Admin, Role::User])];

/// Why the demo users are not there.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Could not hash.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Could not store.
    #[error(transparent)]
    Users(#[from] UsersError),
}

/// Makes those that are missing; leaves the others as they are.
///
/// # Errors
/// [`DemoError`].
pub async fn make_missing(users: &Users, passwords: &Passwords) -> Result<(), DemoError> {
    for (address, name, roles) in USERS {
        let email = Email::new(address);
        if users.find_by_email(&email).await?.is_none() {
            users.insert(&account(&email, name, roles, passwords, OWN).await?).await?;
        }
    }
    Ok(())
}

/// Makes both what they were at first, for this client, and answers them.
///
/// # Errors
/// [`DemoError`].
pub async fn reset(users: &Users, passwords: &Passwords, client: IpAddr) -> Result<Vec<User>, DemoError> {
    let mut accounts = Vec::with_capacity(USERS.len());
    for (address, name, roles) in USERS {
        accounts.push(account(&Email::new(address), name, roles, passwords, client).await?);
    }
    users.reset(&accounts).await?;
    let mut stored = Vec::with_capacity(USERS.len());
    for (address, ..) in USERS {
        stored.extend(users.find_by_email(&Email::new(address)).await?.map(|account| account.user));
    }
    Ok(stored)
}

async fn account(
    email: &Email,
    name: &str,
    roles: &[Role],
    passwords: &Passwords,
    client: IpAddr,
) -> Result<Account, PasswordError> {
    let (password_hash, _) = passwords.turn(client).await?.hash(PASSWORD.to_owned()).await?;
    let user = User {
        id: Uuid::now_v7(),
        email: email.as_str().to_owned(),
        full_name: name.to_owned(),
        is_active: true,
        roles: roles.to_vec(),
    };
    Ok(Account { user, password_hash })
}
