//! Reads a user's identity from the claims of a verified token. Pure.
//!
//! Guarantees: a claim of the wrong type makes the token invalid; it is never guessed at. Claims that no name leads to
//! are ignored.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::TokenError;
use crate::claims::{Identity, Mark, Marks};

/// Most characters of a user's id, with the issuer's prefix.
const MAX_USER_ID: usize = 128;

/// The claims of a token, as JSON.
pub(super) type ForeignClaims = Map<String, Value>;

/// The place of a value in the claims: alternatives, of which the first that is present and not null counts. Each is a
/// claim's whole name (`https://example.com/roles`) or a path with dots (`realm_access.roles`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

/// The claims that hold a user's identity in one issuer's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user's id: a string or a number.
    pub id: ClaimPath,
    /// The name that others see: a string. Empty ones are skipped.
    pub name: ClaimPath,
    /// The roles: a list of strings, or a string, which is one role.
    pub roles: ClaimPath,
    /// The id of the login: a string or a number.
    pub login: ClaimPath,
}

impl Default for ClaimNames {
    /// The claims of the auth service, and `id` and `fullName`, which some issuers use instead.
    fn default() -> Self {
        Self {
            id: ClaimPath::first_of(["sub", "id"]),
            name: ClaimPath::first_of(["name", "fullName"]),
            roles: ClaimPath::first_of(["roles"]),
            login: ClaimPath::first_of(["sid"]),
        }
    }
}

impl ClaimPath {
    fn first_of<const N: usize>(names: [&str; N]) -> Self {
        Self(names.map(str::to_owned).into())
    }

    /// Parses `name+name`; `None` if a name is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let names: Vec<_> = text.split('+').map(|name| name.trim().to_owned()).collect();
        names.iter().all(|name| !name.is_empty()).then_some(Self(names))
    }

    /// The values that are present and not null, in the order of the alternatives.
    fn all<'a>(&self, claims: &'a ForeignClaims) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter_map(|name| find(claims, name)).filter(|value| !value.is_null())
    }
}

/// The value of this name, or at this path. The longest name wins, because the names on a path may have dots, too:
/// `resource_access.my.app.roles` finds the roles of the client `my.app`.
fn find<'a>(claims: &'a ForeignClaims, path: &str) -> Option<&'a Value> {
    let within = |(dot, _): (usize, &str)| find(claims.get(&path[..dot])?.as_object()?, &path[dot + 1..]);
    claims.get(path).or_else(|| path.rmatch_indices('.').find_map(within))
}

/// The user that these claims identify. `prefix` is put in front of the user's id.
pub(super) fn identity(claims: &ForeignClaims, names: &ClaimNames, prefix: &str) -> Result<Identity, TokenError> {
    let user_id = names.id.all(claims).next().and_then(id_text).filter(|id| !id.is_empty());
    let user_id = format!("{prefix}{}", user_id.ok_or(TokenError::Invalid)?);
    if user_id.chars().count() > MAX_USER_ID {
        return Err(TokenError::Invalid);
    }
    // Equal texts share their memory, because every connection has an identity.
    let user_id: Arc<str> = user_id.into();
    let email: Option<Arc<str>> = first_text(claims.get("email").into_iter().filter(|email| !email.is_null()))?;
    let name = first_text(names.name.all(claims))?.or_else(|| email.clone());
    let mark = |value: &Value| {
        let text = id_text(value).filter(|text| !text.is_empty())?;
        Some(Mark::of(&user_id, &text))
    };
    let marks = Marks {
        issued_at: claims.get("iat").and_then(Value::as_f64).map_or(0, |iat| iat as u64),
        login: names.login.all(claims).find_map(mark),
        token: claims.get("jti").and_then(mark),
    };
    Ok(Identity {
        name: name.unwrap_or_else(|| Arc::clone(&user_id)),
        user_id,
        email,
        roles: roles(names.roles.all(claims).next())?,
        expires_at: claims.get("exp").and_then(Value::as_u64).ok_or(TokenError::Invalid)?,
        marks,
    })
}

/// An id, which some issuers write as a number.
fn id_text(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first text that is not empty.
fn first_text<'a>(mut values: impl Iterator<Item = &'a Value>) -> Result<Option<Arc<str>>, TokenError> {
    let text = |value: &'a Value| value.as_str().ok_or(TokenError::Invalid);
    let text = values.find(|value| value.as_str() != Some("")).map(text).transpose()?;
    Ok(text.map(Into::into))
}

fn roles(value: Option<&Value>) -> Result<Arc<[Box<str>]>, TokenError> {
    let role = |value: &Value| value.as_str().map(Box::from).ok_or(TokenError::Invalid);
    match value {
        None => Ok(Arc::default()),
        Some(Value::Array(values)) if values.is_empty() => Ok(Arc::default()),
        Some(Value::Array(values)) => values.iter().map(role).collect(),
        Some(Value::String(text)) if text.is_empty() => Ok(Arc::default()),
        Some(value) => Ok(Arc::new([role(value)?])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> ForeignClaims {
        let Value::Object(claims) = value else { panic!("{value}") };
        claims
    }

    fn found(claims: Value, path: &str) -> Option<Value> {
        let claims = object(claims);
        ClaimPath::parse(path).unwrap().all(&claims).next().cloned()
    }

    #[test]
    fn a_whole_name_comes_before_a_path_and_alternatives_in_their_order() {
        let claims = json!({
            "a.b": 1, "a": { "b": 2, "c": null }, "https://example.com/roles": 3,
            "x.y": { "z": { "n": 4 } }, "x": { "y": 5 },
        });
        for (path, expected) in [
            ("a.b", Some(json!(1))),
            ("https://example.com/roles", Some(json!(3))),
            ("x.y.z.n", Some(json!(4))),
            ("x.y", Some(json!({ "z": { "n": 4 } }))),
            ("a.c+ a.b", Some(json!(1))),
            ("none+a.c", None),
            ("a.b.c", None),
            ("a.", None),
            (".", None),
        ] {
            assert_eq!(found(claims.clone(), path), expected, "{path}");
        }
        for bad in ["", "+", "a+", "a++b"] {
            assert_eq!(ClaimPath::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_path_leads_to_a_nested_value(names in prop::collection::vec("[a-z:/.]{1,6}", 1..5), value: i64) {
            let nested = names.iter().rev().fold(json!(value), |inner, name| json!({ name: inner }));
            prop_assert_eq!(found(nested, &names.join(".")), Some(json!(value)));
        }

        #[test]
        fn any_path_is_searched_without_panic(path in "\\PC{0,20}") {
            if let Some(path) = ClaimPath::parse(&path) {
                let _ = path.all(&object(json!({ "a": { "b": {} }, ".": {}, "": { "": 1 } }))).next();
            }
        }

        /// Ids are never cut and never longer than allowed; the prefix counts.
        #[test]
        fn the_prefix_counts_for_the_length(prefix in "[a-zé:]{0,20}", id in "\\PC{0,130}") {
            let claims = object(json!({ "sub": id, "exp": 9 }));
            let read = identity(&claims, &ClaimNames::default(), &prefix);
            let length = prefix.chars().count() + id.chars().count();
            prop_assert_eq!(read.is_ok(), !id.is_empty() && length <= MAX_USER_ID);
            prop_assert!(read.is_err() || *read.unwrap().user_id == prefix + &id);
        }
    }

    fn read(claims: Value) -> Result<Identity, TokenError> {
        let mut claims = object(claims);
        claims.entry("exp").or_insert(json!(9));
        identity(&claims, &ClaimNames::default(), "")
    }

    #[test]
    fn names_fall_back_and_empty_ones_are_skipped() {
        for (claims, name) in [
            (json!({ "sub": "u", "name": "Ann", "fullName": "Ann Lee", "email": "a@x.y" }), "Ann"),
            (json!({ "sub": "u", "name": "", "fullName": "Ann Lee", "email": "a@x.y" }), "Ann Lee"),
            (json!({ "sub": "u", "name": null, "email": "a@x.y" }), "a@x.y"),
            (json!({ "sub": "u", "email": "" }), "u"),
            (json!({ "id": 7 }), "7"),
        ] {
            assert_eq!(&*read(claims).unwrap().name, name);
        }
    }

    #[test]
    fn roles_are_a_list_or_one_string() {
        for (roles, expected) in [
            (json!(["A", "B c"]), vec!["A", "B c"]),
            (json!("A b"), vec!["A b"]),
            (json!(""), vec![]),
            (json!([]), vec![]),
            (Value::Null, vec![]),
        ] {
            let read = read(json!({ "sub": "u", "roles": roles })).unwrap();
            assert_eq!(read.roles.iter().map(|role| &**role).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn claims_of_the_wrong_type_are_refused() {
        for wrong in [
            json!({ "sub": ["u"] }),
            json!({ "sub": "" , "id": "u" }),
            json!({ "sub": null }),
            json!({ "sub": "u", "name": 7 }),
            json!({ "sub": "u", "email": {} }),
            json!({ "sub": "u", "roles": { "ADMIN": true } }),
            json!({ "sub": "u", "roles": ["A", 1] }),
            json!({ "sub": "u", "exp": "9" }),
            json!({ "sub": "u", "exp": 9.5 }),
        ] {
            assert_eq!(read(wrong.clone()), Err(TokenError::Invalid), "{wrong}");
        }
    }

    #[test]
    fn marks_are_of_one_user_of_one_issuer() {
        let claims = object(json!({ "sub": "u", "sid": "s", "jti": 7, "iat": 5.5, "exp": 9 }));
        let marks = identity(&claims, &ClaimNames::default(), "kc:").unwrap().marks;
        let expected = Marks { issued_at: 5, login: Some(Mark::of("kc:u", "s")), token: Some(Mark::of("kc:u", "7")) };
        assert_eq!(marks, expected);
        let none = read(json!({ "sub": "u", "sid": "", "jti": {} })).unwrap().marks;
        assert_eq!(none, Marks::default());
    }
}
