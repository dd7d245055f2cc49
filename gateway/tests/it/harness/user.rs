//! Users, and the tokens that name them.

use jackfield_shared::time::unix_now;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

/// The secret that test clusters verify tokens with.
pub const SECRET: &str = "a secret that only tests know, long enough";

/// A user of any issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: String,
    pub name: String,
    pub roles: Vec<&'static str>,
    /// Seconds that a token is valid.
    pub valid: u64,
}

impl User {
    /// A user with this id, called "Name of <id>", with the role USER.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), name: format!("Name of {id}"), roles: vec!["USER"], valid: 3_600 }
    }

    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub fn with_roles(self, roles: &[&'static str]) -> Self {
        Self { roles: roles.to_vec(), ..self }
    }

    /// A token of this user.
    pub fn token(&self) -> String {
        self.token_until(unix_now() + self.valid)
    }

    /// A token of this user that ends at this Unix second.
    pub fn token_until(&self, exp: u64) -> String {
        encode(&Header::default(), &self.claims(exp), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    }

    /// The claims of a token that ends at this Unix second.
    pub fn claims(&self, exp: u64) -> Value {
        let email = format!("{}@example.com", self.id);
        json!({ "sub": self.id, "name": self.name, "roles": self.roles, "email": email, "exp": exp })
    }

    /// `{userId, name}`, as other clients see the user.
    pub fn profile(&self) -> Value {
        json!({ "userId": self.id, "name": self.name })
    }
}

impl From<&str> for User {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<&User> for User {
    fn from(user: &User) -> Self {
        user.clone()
    }
}
