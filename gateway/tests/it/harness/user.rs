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
    /// `sid`, the login.
    pub login: Option<&'static str>,
    /// `jti`, the token.
    pub token_id: Option<&'static str>,
    /// How many seconds ago a token was issued.
    pub age: i64,
}

impl User {
    /// A user with this id, called "Name of <id>", with the role USER.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("Name of {id}"),
            roles: vec!["USER"],
            valid: 3_600,
            login: None,
            token_id: None,
            age: 60,
        }
    }

    /// With tokens of this login.
    pub fn of_login(self, login: &'static str) -> Self {
        Self { login: Some(login), ..self }
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
        let mut claims = json!({
            "sub": self.id,
            "name": self.name,
            "roles": self.roles,
            "email": email,
            "exp": exp,
            "iat": unix_now().saturating_add_signed(-self.age),
        });
        for (claim, id) in [("sid", self.login), ("jti", self.token_id)] {
            if let Some(id) = id {
                claims[claim] = id.into();
            }
        }
        claims
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
