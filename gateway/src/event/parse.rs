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
        serde_json::from_str(data).map_err(|error| EventError::Validation(explain(&error)))
    }
}

/// What serde says, without the position: it is one in our copy of the text, and helps nobody.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
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
        struct Wants {
            #[expect(dead_code)]
            content: String,
        }
        let event = Event::parse(r#"["a",{"y":1}]"#).unwrap();
        let error = event.data::<Wants>().unwrap_err();
        assert_eq!(error, EventError::Validation("missing field `content`".into()));
    }

    proptest! {
        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,60}") {
            let _ = Event::parse(&text);
        }
    }
}
