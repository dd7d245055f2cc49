//! An event's JSON array, taken apart without building a tree of it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::EventError;

/// An event's name and its first argument; more arguments are passed over.
pub struct Event<'a> {
    /// As the client wrote it.
    pub name: Cow<'a, str>,
    data: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Takes `["name", data, …]` apart.
    pub fn parse(json: &'a str) -> Result<Self, EventError> {
        serde_json::from_str(json)
            .map_err(|_| EventError::Validation("an event is an array that begins with its name".into()))
    }

    /// The first argument as a `T`.
    pub fn data<T: Deserialize<'a>>(&self) -> Result<T, EventError> {
        let data = self.data.map_or("null", RawValue::get);
        serde_json::from_str(data).map_err(|error| EventError::Validation(explain::<T>(data, &error)))
    }

    /// The first argument as text, or else as a `T`.
    pub fn text_or<T: Deserialize<'a>>(&self) -> Result<TextOr<T>, EventError> {
        match self.data {
            Some(data) if data.get().starts_with('"') => self.data().map(TextOr::Text),
            _ => self.data().map(TextOr::Other),
        }
    }
}

/// Two ways of writing one thing.
pub enum TextOr<T> {
    /// The short one.
    Text(String),
    /// The long one.
    Other(T),
}

/// Characters of what is said about a payload: serde repeats what was sent.
const EXPLAINED: usize = 256;

/// What serde says, with the field in front. The payload is read once more for that: keeping track of where one is takes
/// time, which only errors are to take.
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

/// The position is one in our copy of the text, and helps nobody.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(&*text, |(said, _)| said).to_owned()
}

impl<'de: 'a, 'a> Deserialize<'de> for Event<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EventVisitor;
        impl<'de> Visitor<'de> for EventVisitor {
            type Value = Event<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with a name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Event<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Name<'n>(#[serde(borrow)] Cow<'n, str>);
                let Name(name) = seq.next_element()?.ok_or_else(|| de::Error::missing_field("name"))?;
                let data = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Event { name, data })
            }
        }
        deserializer.deserialize_seq(EventVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn name_and_first_argument() {
        let event = Event::parse(r#"["a\n",{"x":1},2]"#).unwrap();
        assert_eq!((&*event.name, event.data.unwrap().get()), ("a\n", r#"{"x":1}"#));
        assert!(Event::parse(r#"["a"]"#).unwrap().data.is_none());
        for odd in ["[]", "{}", "[1]", "", "[\"a\""] {
            assert!(Event::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase", expecting = "{content, limit?, userIds?}")]
        #[expect(dead_code)]
        struct Wants {
            content: String,
            limit: Option<usize>,
            #[serde(default)]
            user_ids: Vec<String>,
        }
        let long = format!(r#"{{"content":"x","limit":"{}"}}"#, "at line 1".repeat(1_000));
        for (payload, said) in [
            (r#"{"y":1}"#, "missing field `content`"),
            (r#"{"content":5}"#, "content: invalid type: integer `5`, expected a string"),
            (r#"{"content":"x","limit":-1}"#, "limit: invalid value: integer `-1`, expected usize"),
            (r#"{"content":"x","userIds":["a",1]}"#, "userIds[1]: invalid type: integer `1`, expected a string"),
            ("5", "invalid type: integer `5`, expected {content, limit?, userIds?}"),
            ("null", "invalid type: null, expected {content, limit?, userIds?}"),
            (&long, "limit: invalid type: string \"at line 1at line 1"),
        ] {
            let json = format!(r#"["a",{payload}]"#);
            let error = Event::parse(&json).unwrap().data::<Wants>().unwrap_err();
            let EventError::Validation(text) = error else { panic!("{error:?}") };
            assert!(text.starts_with(said) && text.len() <= EXPLAINED, "{text}");
            assert!(text == said || payload == long, "{text}");
        }
    }

    #[test]
    fn text_or_something_else() {
        let either = |json| match Event::parse(json).unwrap().text_or::<Vec<u8>>() {
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
            let _ = Event::parse(&text);
        }
    }
}
