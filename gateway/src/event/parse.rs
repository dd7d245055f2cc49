//! Parses an event's JSON array without building a tree, except for events with binary parts, which are rare.

use std::{borrow::Cow, fmt};

use jackfield_engine::Parts;
use serde::{
    Deserialize,
    de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{EventError, Malformed};

/// An event's name and arguments. Most events use the first argument and ignore the others; `echo` repeats all of them.
pub(crate) struct Event<'a> {
    /// As the client wrote it.
    pub(crate) name: Cow<'a, str>,
    /// The binary parts that placeholders in the arguments refer to.
    pub(crate) parts: Option<&'a Parts>,
    data: Option<&'a RawValue>,
    json: &'a str,
}

impl<'a> Event<'a> {
    /// Parses `["name", data, …]`.
    ///
    /// # Errors
    /// [`Malformed`], also if a placeholder refers to a missing part.
    pub(crate) fn parse(json: &'a str, parts: Option<&'a Parts>) -> Result<Self, Malformed> {
        let Head { name, data } = serde_json::from_str(json).map_err(|_| Malformed)?;
        let event = Self { name, parts, data, json };
        match parts {
            Some(parts) if !all_exist(json, parts.count()) => Err(Malformed),
            _ => Ok(event),
        }
    }

    /// All arguments as JSON, with commas between them.
    pub(crate) fn arguments(&self) -> &'a str {
        let Some(data) = self.data else { return "" };
        // The first argument is a piece of the array's text.
        let start = data.get().as_ptr() as usize - self.json.as_ptr() as usize;
        let end = self.json.trim_end().len() - 1;
        self.json.get(start..end).unwrap_or_default().trim_end()
    }

    /// The `clientId` of the first argument, if that is an object and has one that is text.
    pub(crate) fn client_id(&self) -> Option<Cow<'a, str>> {
        #[derive(Deserialize)]
        struct Fields<'f> {
            #[serde(rename = "clientId", borrow)]
            client_id: Option<Cow<'f, str>>,
        }
        let data = self.data?.get();
        // An array would be read as the fields in their order.
        let fields: Fields<'a> = data.starts_with('{').then(|| serde_json::from_str(data).ok())??;
        fields.client_id
    }

    /// The path of the first binary part, for the errors of events that forward none: `content`, `a.b[0]`.
    pub(crate) fn path_of_part(&self) -> Option<String> {
        self.parts?;
        let arguments: Value = serde_json::from_str(&format!("[{}]", self.arguments())).ok()?;
        let path = path_of_part(&arguments)?;
        // Omits the index of the first argument, because most events have only one.
        Some(path.trim_start_matches("[0]").trim_start_matches('.').to_owned())
    }

    /// The first argument as a `T`.
    pub(crate) fn data<T: Deserialize<'a>>(&self) -> Result<T, EventError> {
        let data = self.data.map_or("null", RawValue::get);
        serde_json::from_str(data).map_err(|error| EventError::Validation(explain::<T>(data, &error)))
    }

    /// The first argument as text, or else as a `T`.
    pub(crate) fn text_or<T: Deserialize<'a>>(&self) -> Result<TextOr<T>, EventError> {
        match self.data {
            Some(data) if data.get().starts_with('"') => self.data().map(TextOr::Text),
            _ => self.data().map(TextOr::Other),
        }
    }
}

/// One argument in two forms.
pub(crate) enum TextOr<T> {
    /// The short form.
    Text(String),
    /// The long form.
    Other(T),
}

/// Most characters of an error about a payload: serde's errors repeat the input.
const EXPLAINED: usize = 256;

/// serde's error, with the field in front. Parses the payload a second time to find the field, so that valid payloads
/// do not pay for tracking the path.
fn explain<'a, T: Deserialize<'a>>(data: &'a str, error: &serde_json::Error) -> String {
    let mut again = serde_json::Deserializer::from_str(data);
    let text = match serde_path_to_error::deserialize::<_, T>(&mut again) {
        Err(error) if error.path().iter().next().is_some() => {
            format!("{}: {}", error.path(), without_position(error.inner()))
        }
        _ => without_position(error),
    };
    text.chars().take(EXPLAINED).collect()
}

/// Drops the position from the error's text: it refers to our copy of the payload, so it would mislead.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(&*text, |(before, _)| before).to_owned()
}

/// Whether every placeholder refers to one of `parts` parts.
fn all_exist(json: &str, parts: usize) -> bool {
    fn all(value: &Value, parts: u64) -> bool {
        match value {
            Value::Array(items) => items.iter().all(|item| all(item, parts)),
            Value::Object(_) if is_placeholder(value) => value["num"].as_u64().is_some_and(|number| number < parts),
            Value::Object(fields) => fields.values().all(|field| all(field, parts)),
            _ => true,
        }
    }
    // serde_json cannot parse some texts into a tree, such as half an emoji: they are not checked here, but by clients.
    serde_json::from_str(json).map_or(true, |value| all(&value, parts as u64))
}

fn is_placeholder(value: &Value) -> bool {
    value["_placeholder"] == true
}

fn path_of_part(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| Some(format!("[{index}]{}", path_of_part(item)?)))
        }
        Value::Object(_) if is_placeholder(value) => Some(String::new()),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, field)| Some(format!(".{name}{}", path_of_part(field)?)))
        }
        _ => None,
    }
}

struct Head<'a> {
    name: Cow<'a, str>,
    data: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Head<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadVisitor;
        impl<'de> Visitor<'de> for HeadVisitor {
            type Value = Head<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with a name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Head<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Name<'n>(#[serde(borrow)] Cow<'n, str>);
                let Name(name) = seq.next_element()?.ok_or_else(|| de::Error::missing_field("name"))?;
                let data = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Head { name, data })
            }
        }
        deserializer.deserialize_seq(HeadVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn name_and_arguments() {
        let event = Event::parse(r#"["a\n", {"x":1} ,2 ] "#, None).unwrap();
        assert_eq!((&*event.name, event.data.unwrap().get()), ("a\n", r#"{"x":1}"#));
        assert_eq!(event.arguments(), r#"{"x":1} ,2"#);
        let bare = Event::parse(r#"["a"]"#, None).unwrap();
        assert!(bare.data.is_none() && bare.arguments().is_empty());
        for odd in ["[]", "{}", "[1]", "", "[\"a\"", "[\"a\"]]"] {
            assert!(Event::parse(odd, None).is_err(), "{odd}");
        }
    }

    #[test]
    fn placeholders_must_refer_to_existing_parts() {
        let parts = Parts::one(bytes::Bytes::from_static(b"x"));
        let parse = |json| Event::parse(json, Some(&parts)).map(|event| event.path_of_part());
        let path = |json| parse(json).ok().flatten();
        assert_eq!(path(r#"["a",{"b":[1,{"_placeholder":true,"num":0}]}]"#).as_deref(), Some("b[1]"));
        assert_eq!(path(r#"["a",{"_placeholder":true,"num":0}]"#).as_deref(), Some(""));
        assert_eq!(parse(r#"["a",{"_placeholder":true,"num":1}]"#), Err(Malformed));
        assert_eq!(parse(r#"["a",{"_placeholder":true,"num":"0"}]"#), Err(Malformed));
        assert_eq!(parse(r#"["a","no part"]"#), Ok(None));
    }

    #[test]
    fn a_validation_error_names_the_field() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase", expecting = "{content, limit?, userIds?}")]
        #[expect(dead_code)]
        struct Args {
            content: String,
            limit: Option<usize>,
            #[serde(default)]
            user_ids: Vec<String>,
        }
        let long = format!(r#"{{"content":"x","limit":"{}"}}"#, "at line 1".repeat(1_000));
        for (payload, expected) in [
            (r#"{"y":1}"#, "missing field `content`"),
            (r#"{"content":5}"#, "content: invalid type: integer `5`, expected a string"),
            (r#"{"content":"x","limit":-1}"#, "limit: invalid value: integer `-1`, expected usize"),
            (r#"{"content":"x","userIds":["a",1]}"#, "userIds[1]: invalid type: integer `1`, expected a string"),
            ("5", "invalid type: integer `5`, expected {content, limit?, userIds?}"),
            ("null", "invalid type: null, expected {content, limit?, userIds?}"),
            (&long, "limit: invalid type: string \"at line 1at line 1"),
        ] {
            let json = format!(r#"["a",{payload}]"#);
            let error = Event::parse(&json, None).unwrap().data::<Args>().unwrap_err();
            let EventError::Validation(text) = error else { panic!("{error:?}") };
            assert!(text.starts_with(expected) && text.len() <= EXPLAINED, "{text}");
            assert!(text == expected || payload == long, "{text}");
        }
    }

    #[test]
    fn text_or_something_else() {
        let either = |json| match Event::parse(json, None).unwrap().text_or::<Vec<u8>>() {
            Ok(TextOr::Text(text)) => text,
            Ok(TextOr::Other(other)) => format!("{other:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(either(r#"["a","t"]"#), "t");
        assert_eq!(either(r#"["a",[1]]"#), "[1]");
        assert_eq!(either(r#"["a"]"#), "invalid type: null, expected a sequence");
    }

    proptest! {
        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,60}") {
            let _ = Event::parse(&text, None);
        }
    }
}
