//! Reads a JSON body, and reports all of its errors at once (the first 20), as class-validator does.

use std::{collections::BTreeSet, fmt};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
};
use garde::Validate;
use jackfield_shared::{error_body::ErrorBody, http::layers::for_status};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// Characters of an unknown or repeated field's name that an error shows; and messages in one error.
const NAME_SHOWN: usize = 64;
const MESSAGES: usize = 20;

/// A body whose fields are all text.
pub trait Input: DeserializeOwned + Validate<Context = ()> {
    /// The fields' JSON names.
    const FIELDS: &'static [&'static str];
}

/// A body that was parsed and passed validation.
pub struct Body<T>(pub T);

impl<T: Input, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ErrorBody;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorBody> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !is_json(kind) {
            return Err(for_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|refused| for_status(refused.status()))?;
        parse(&bytes).map(Self)
    }
}

/// A JSON object, with the keys that occur in it more than once: parsers differ in which of the values they use.
#[derive(Default)]
struct Object {
    fields: Map<String, Value>,
    repeated: BTreeSet<String>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if self.fields.contains_key(&key) {
                self.repeated.insert(key);
            } else {
                self.fields.insert(key, value);
            }
        }
        Ok(self)
    }
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn parse<T: Input>(bytes: &[u8]) -> Result<T, ErrorBody> {
    let wrong = |message: &str| ErrorBody::validation(vec![message.to_owned()]);
    let Object { fields: object, repeated } = match serde_json::from_slice(bytes) {
        Ok(object) => object,
        Err(error) if error.is_data() => return Err(wrong("body must be a JSON object")),
        Err(_) => return Err(wrong("body must be valid JSON")),
    };
    let unknown = object.keys().filter(|key| !T::FIELDS.contains(&key.as_str()));
    let mut messages: Vec<String> = unknown.map(|key| format!("property {} should not exist", shown(key))).collect();
    messages.extend(repeated.iter().map(|key| format!("property {} should not be repeated", shown(key))));
    let not_text: Vec<&str> =
        T::FIELDS.iter().copied().filter(|field| !object.get(*field).is_some_and(Value::is_string)).collect();
    messages.extend(not_text.iter().map(|field| format!("{field} must be a string")));

    // An empty text stands in for each field that is not a string, so that the rules of the others are still checked.
    let text = |field: &str| object.get(field).filter(|value| value.is_string()).cloned().unwrap_or_else(|| "".into());
    let fields: Map<_, _> = T::FIELDS.iter().map(|field| ((*field).to_owned(), text(field))).collect();
    let input: T = serde_json::from_value(Value::Object(fields)).map_err(|_| wrong("body must be a JSON object"))?;
    if let Err(report) = input.validate() {
        let broken: Vec<_> =
            report.iter().map(|(path, error)| (json_name(&path.to_string()), error.message())).collect();
        for field in T::FIELDS.iter().filter(|field| !not_text.contains(field)) {
            let of_it = broken.iter().filter(|(name, _)| name == field);
            messages.extend(of_it.map(|(_, message)| format!("{field} {message}")));
        }
    }
    messages.truncate(MESSAGES);
    if messages.is_empty() { Ok(input) } else { Err(ErrorBody::validation(messages)) }
}

/// `full_name` → `fullName`.
fn json_name(field: &str) -> String {
    let mut parts = field.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (initial, rest) = part.split_at(part.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}

fn shown(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).take(NAME_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::error_body::Message;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize, Validate)]
    #[serde(rename_all = "camelCase")]
    struct Example {
        #[garde(custom(crate::rules::check_email))]
        email: String,
        #[garde(custom(crate::rules::check_full_name))]
        full_name: String,
    }
    impl Input for Example {
        const FIELDS: &'static [&'static str] = &["email", "fullName"];
    }

    fn messages(body: &str) -> Vec<String> {
        match parse::<Example>(body.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(ErrorBody { status_code: 400, code: "validation_failed", message: Message::Many(all), .. }) => all,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once_and_names_its_field() {
        assert_eq!(messages(r#"{"email":"a@b.c","fullName":"Ann"}"#), Vec::<String>::new());
        assert_eq!(
            messages(r#"{"email":"nobody","fullName":"","isAdmin":true}"#),
            [
                "property isAdmin should not exist",
                "email must be an email",
                "fullName must be longer than or equal to 1 characters"
            ]
        );
        assert_eq!(messages(r#"{"email":7}"#), ["email must be a string", "fullName must be a string"]);
        assert_eq!(messages("[]"), ["body must be a JSON object"]);
        assert_eq!(messages("{"), ["body must be valid JSON"]);
        assert_eq!(messages(""), ["body must be valid JSON"]);
    }

    #[test]
    fn what_is_repeated_is_bounded() {
        let many: Vec<_> = (0..1_000).map(|n| format!("\"{}{n}\":1", "x".repeat(100))).collect();
        let messages = messages(&format!("{{{}}}", many.join(",")));
        assert_eq!(messages.len(), MESSAGES);
        assert!(messages.iter().all(|message| message.len() < 100));
    }

    #[test]
    fn json_by_any_spelling() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("text/plain") && !is_json(""));
    }

    proptest! {
        #[test]
        fn no_body_causes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Example>(&bytes);
        }
    }
}
