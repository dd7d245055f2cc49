//! Writes MessagePack values as the JSON that clients of Socket.IO get: binary values as placeholders, dates as text.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use jackfield_engine::Parts;
use rmpv::Value;

use super::malformed::Malformed;
use crate::emit::binary::PLACEHOLDER;

/// The extension type of timestamps.
const TIMESTAMP: i8 = -1;

/// JSON, and the binary parts that placeholders in it refer to.
pub(super) struct Writer {
    json: String,
    parts: Vec<Bytes>,
    max_parts: usize,
    /// The data has a field that clients would take for a placeholder, if there are binary parts.
    is_ambiguous: bool,
}

impl Writer {
    pub(super) fn new(max_parts: usize) -> Self {
        Self { json: String::new(), parts: Vec::new(), max_parts, is_ambiguous: false }
    }

    pub(super) fn finish(self) -> Result<(String, Vec<Bytes>), Malformed> {
        match self.is_ambiguous && !self.parts.is_empty() {
            true => Err(Malformed("data that looks like a placeholder, beside binary data")),
            false => Ok((self.json, self.parts)),
        }
    }

    pub(super) fn comma(&mut self) {
        self.json.push(',');
    }

    pub(super) fn text(&mut self, text: &str) {
        self.json += &serde_json::Value::from(text).to_string();
    }

    /// The value's depth was limited when it was read.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), Malformed> {
        match value {
            Value::Boolean(value) => self.json += if *value { "true" } else { "false" },
            Value::Integer(number) => self.json += &number.to_string(),
            Value::F32(number) => self.number(f64::from(*number)),
            Value::F64(number) => self.number(*number),
            Value::String(text) => self.text(&String::from_utf8_lossy(text.as_bytes())),
            Value::Binary(part) => {
                if self.parts.len() == self.max_parts {
                    return Err(Malformed("too much binary data"));
                }
                self.json += &Parts::placeholder(self.parts.len());
                self.parts.push(Bytes::copy_from_slice(part));
            }
            Value::Array(items) => {
                self.json.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.comma();
                    }
                    self.value(item)?;
                }
                self.json.push(']');
            }
            Value::Map(fields) => {
                self.json.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        self.comma();
                    }
                    self.name(name)?;
                    self.json.push(':');
                    self.value(value)?;
                }
                self.json.push('}');
            }
            Value::Ext(TIMESTAMP, bytes) => match timestamp(bytes) {
                Some(text) => self.text(&text),
                None => self.json += "null",
            },
            Value::Nil | Value::Ext(..) => self.json += "null",
        }
        Ok(())
    }

    /// JSON has no infinite numbers; JavaScript writes `null` for them, too.
    fn number(&mut self, number: f64) {
        self.json += &serde_json::Value::from(number).to_string();
    }

    fn name(&mut self, name: &Value) -> Result<(), Malformed> {
        match name {
            Value::String(text) => {
                let text = String::from_utf8_lossy(text.as_bytes());
                self.is_ambiguous |= text == PLACEHOLDER;
                self.text(&text);
            }
            Value::Integer(number) => self.text(&number.to_string()),
            _ => return Err(Malformed("an object's field without a name")),
        }
        Ok(())
    }
}

/// A timestamp as JavaScript writes it.
fn timestamp(bytes: &[u8]) -> Option<String> {
    let (seconds, nanos) = match *bytes {
        [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, u32::try_from(both >> 34).ok()?)
        }
        [n0, n1, n2, n3, a, b, c, d, e, f, g, h] => {
            (i64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([n0, n1, n2, n3]))
        }
        _ => return None,
    };
    let at = DateTime::<Utc>::from_timestamp(seconds, nanos)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(value: &Value) -> String {
        let mut writer = Writer::new(9);
        writer.value(value).unwrap();
        writer.finish().unwrap().0
    }

    #[test]
    fn values_are_written_as_javascript_would() {
        for (value, expected) in [
            (Value::Nil, "null"),
            (Value::F64(f64::NAN), "null"),
            (Value::F64(0.5), "0.5"),
            (Value::F32(0.5), "0.5"),
            (u64::MAX.into(), "18446744073709551615"),
            ((-1).into(), "-1"),
            ("a\"\u{1}é".into(), "\"a\\\"\\u0001é\""),
            (Value::Map(vec![(1.into(), true.into()), ("b".into(), Value::Nil)]), r#"{"1":true,"b":null}"#),
            (Value::Ext(7, vec![1]), "null"),
            (Value::Ext(-1, vec![0, 0, 0, 1]), "\"1970-01-01T00:00:01.000Z\""),
            (Value::Ext(-1, vec![1]), "null"),
        ] {
            assert_eq!(json(&value), expected, "{value:?}");
        }
        // notepack.io 3.0.1 of new Date("2026-11-23T04:12:06.789Z").
        let nanos = 789_000_000_u64;
        let seconds = 1_795_407_126_u64;
        let both = (nanos << 34 | seconds).to_be_bytes().to_vec();
        assert_eq!(json(&Value::Ext(-1, both)), "\"2026-11-23T04:12:06.789Z\"");
        assert_eq!(
            json(&Value::Ext(-1, [&[0; 4][..], &(-1_i64).to_be_bytes()].concat())),
            "\"1969-12-31T23:59:59.000Z\""
        );
    }

    proptest! {
        #[test]
        fn any_timestamp_is_written_without_panic(bytes: Vec<u8>) {
            let _ = timestamp(&bytes);
        }
    }
}
