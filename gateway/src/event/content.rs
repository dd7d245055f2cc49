//! Content that users write: text, or a binary part.
//!
//! Text stays JSON from the sender to its receivers, because a JavaScript string may contain half of a surrogate pair,
//! which a Rust string cannot hold. Needless escapes are removed, so that a text is no longer than necessary.

use std::borrow::Cow;

use jackfield_engine::Parts;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use super::{EventError, parse::Event};
use crate::room::MAX_CONTENT;

/// Most bytes of a binary part in place of a text: as many as the longest text can take.
const MAX_PART: usize = 4 * MAX_CONTENT;

/// A text, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a> {
    json: Cow<'a, str>,
    characters: usize,
}

impl<'a> Text<'a> {
    /// Writes a text as JSON.
    pub(super) fn of(text: &str) -> Self {
        Self { json: Cow::Owned(quoted(text)), characters: text.chars().count() }
    }

    /// Reads a JSON string.
    fn read(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        let json = raw.get();
        if json.starts_with('"') && !json.contains('\\') {
            return Ok(Self { json: Cow::Borrowed(json), characters: json.chars().count() - 2 });
        }
        match serde_json::from_str::<String>(json) {
            Ok(text) => Ok(Self::of(&text)),
            Err(_) if json.starts_with('"') => Self::with_halves(json),
            Err(error) => Err(error),
        }
    }

    /// Reads a JSON string that contains halves of surrogate pairs.
    fn with_halves(json: &str) -> Result<Self, serde_json::Error> {
        let inner = &json[1..json.len() - 1];
        let (mut written, mut characters, mut start) = (String::from('"'), 0, 0);
        let mut take = |piece: &str, written: &mut String| -> Result<(), serde_json::Error> {
            let text: String = serde_json::from_str(&format!("\"{piece}\""))?;
            characters += text.chars().count();
            let quoted = quoted(&text);
            written.push_str(&quoted[1..quoted.len() - 1]);
            Ok(())
        };
        let mut halves = 0;
        let mut at = 0;
        while let Some(found) = inner[at..].find('\\') {
            at += found;
            let unit = |at: usize| u16::from_str_radix(inner.get(at..)?.strip_prefix("\\u")?.get(..4)?, 16).ok();
            let length = match (unit(at), unit(at + 6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
                (Some(0xd800..=0xdfff), _) => {
                    take(&inner[start..at], &mut written)?;
                    written.push_str(&inner[at..at + 6].to_ascii_lowercase());
                    halves += 1;
                    start = at + 6;
                    6
                }
                (Some(_), _) => 6,
                (None, _) => 2,
            };
            at += length;
        }
        take(&inner[start..], &mut written)?;
        written.push('"');
        Ok(Self { json: Cow::Owned(written), characters: characters + halves })
    }

    /// The text as JSON: the same for the same text, however the client escaped it.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    /// Number of characters; half of a surrogate pair counts as one.
    pub(super) fn characters(&self) -> usize {
        self.characters
    }

    pub(super) fn is_empty(&self) -> bool {
        self.characters == 0
    }

    /// Checks that it has 1 to 1,000 characters; an error names `field`.
    pub(super) fn check(&self, field: &str) -> Result<(), EventError> {
        match (1..=MAX_CONTENT).contains(&self.characters) {
            true => Ok(()),
            false => Err(EventError::Validation(format!("{field} must have 1 to {MAX_CONTENT} characters"))),
        }
    }
}

fn quoted(text: &str) -> String {
    // Text always serializes.
    serde_json::to_string(text).unwrap_or_default()
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(<&RawValue>::deserialize(deserializer)?).map_err(|error| custom_error(&error))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(&self.json, serializer)
    }
}

/// A text, or the index of the binary part that replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Text(Text<'a>),
    Part(usize),
}

impl<'a> Content<'a> {
    /// The content to send to the receivers, with its binary part; an error names `field`.
    pub(super) fn checked(self, field: &str, event: &Event<'_>) -> Result<Passed<'a>, EventError> {
        let number = match self {
            Self::Text(text) => {
                text.check(field)?;
                return Ok(Passed { json: text.json, parts: None });
            }
            Self::Part(number) => number,
        };
        let part = event.parts.and_then(|parts| parts.all().get(number));
        match part {
            Some(part) if (1..=MAX_PART).contains(&part.len()) => {
                Ok(Passed { json: Parts::placeholder(0).into(), parts: Some(Parts::one(part.clone())) })
            }
            _ => {
                Err(EventError::Validation(format!("{field} must be text, or a binary part of 1 to {MAX_PART} bytes")))
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Placeholder {
            _placeholder: bool,
            num: usize,
        }
        let json = <&RawValue>::deserialize(deserializer)?;
        match serde_json::from_str::<Placeholder>(json.get()) {
            Ok(Placeholder { _placeholder: true, num }) => Ok(Self::Part(num)),
            _ => Text::read(json).map(Self::Text).map_err(|error| custom_error(&error)),
        }
    }
}

/// Content as the receivers get it, with the binary part that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed<'a> {
    json: Cow<'a, str>,
    pub(super) parts: Option<Parts>,
}

impl Serialize for Passed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(&self.json, serializer)
    }
}

fn raw<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(json).map_err(serde::ser::Error::custom)?;
    raw.serialize(serializer)
}

/// Drops the position from the error's text: it refers to a piece of the input, so it would mislead.
fn custom_error<E: de::Error>(error: &serde_json::Error) -> E {
    let text = error.to_string();
    E::custom(text.rsplit_once(" at line ").map_or(&*text, |(before, _)| before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<Text<'_>, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// A text of UTF-16 units as JavaScript writes it.
    fn written(units: &[u16]) -> String {
        let pieces = char::decode_utf16(units.iter().copied()).map(|unit| match unit {
            Ok(character) => {
                let quoted = quoted(&character.to_string());
                quoted[1..quoted.len() - 1].to_owned()
            }
            Err(half) => format!("\\u{:04x}", half.unpaired_surrogate()),
        });
        format!("\"{}\"", pieces.collect::<String>())
    }

    fn units() -> impl Strategy<Value = Vec<u16>> {
        let unit = prop_oneof![Just(0xd83d_u16), Just(0xdc4d), Just(0x22), Just(0x5c), 0_u16..0x80, any::<u16>()];
        prop::collection::vec(unit, 0..12)
    }

    proptest! {
        /// Every JavaScript string reaches the receivers unchanged, even with half of a pair.
        #[test]
        fn every_javascript_string_is_unchanged(units in units()) {
            let json = written(&units);
            let text = read(&json).unwrap();
            prop_assert_eq!(&*text.json, &*json);
            prop_assert_eq!(text.characters, char::decode_utf16(units).count());
        }

        /// Needless escapes never make a text longer.
        #[test]
        fn needless_escapes_are_removed(units in units()) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            let json = format!("\"{escaped}\"");
            let text = read(&json).unwrap();
            prop_assert_eq!(&*text.json, &*written(&units));
        }

        #[test]
        fn any_json_is_read_without_panic(json in "\"?(\\\\u[d-f8-9c]{2,4}|\\PC){0,10}\"?") {
            let _ = read(&json);
        }
    }

    #[test]
    fn other_json_is_refused_as_no_text() {
        let error = read("5").unwrap_err().to_string();
        assert!(error.starts_with("invalid type: integer `5`, expected a string"), "{error}");
        assert!(read(r#""\ud83""#).is_err() && read(r#""\x""#).is_err());
    }

    #[test]
    fn a_placeholder_replaces_text() {
        let content = |json| serde_json::from_str::<Content<'_>>(json);
        assert_eq!(content(r#"{"_placeholder":true,"num":3}"#).unwrap(), Content::Part(3));
        assert_eq!(content(r#""x""#).unwrap(), Content::Text(Text::of("x")));
        assert!(content(r#"{"num":3}"#).is_err() && content("[]").is_err());
    }

    #[test]
    fn only_the_part_that_the_placeholder_names_is_sent() {
        let parts = Parts::new(vec!["a".into(), "b".into(), vec![0; MAX_PART + 1].into()]).unwrap();
        let event = Event::parse(r#"["e"]"#, Some(&parts)).unwrap();
        let passed = Content::Part(1).checked("content", &event).unwrap();
        assert_eq!(serde_json::to_string(&passed).unwrap(), r#"{"_placeholder":true,"num":0}"#);
        assert_eq!(passed.parts, Some(Parts::one("b".into())));
        for wrong in [2, 3] {
            assert!(Content::Part(wrong).checked("content", &event).is_err());
        }
    }
}
