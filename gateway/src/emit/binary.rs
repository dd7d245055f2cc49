//! Binary parts in a backend's JSON: `{"$binary": "<base64>"}`, which clients receive as bytes, and the reverse for what
//! clients send.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jackfield_engine::Parts;
use serde_json::Value;

const KEY: &str = "$binary";
/// The field that marks the place of a part on the wire.
pub(super) const PLACEHOLDER: &str = "_placeholder";

/// Takes at most `max` binary parts out of the data, and leaves placeholders in their places.
pub(super) fn take(data: &mut Value, max: usize) -> Result<Option<Parts>, String> {
    let mut parts = Vec::new();
    let is_ambiguous = has_placeholder(data);
    take_all(data, &mut parts)?;
    if is_ambiguous && !parts.is_empty() {
        // Clients would read the field as a placeholder, and close the connection if the part does not exist.
        return Err(format!("data with binary parts must not have a field {PLACEHOLDER}"));
    }
    match parts.len() > max {
        true => Err(format!("at most {max} binary parts in data")),
        false => Ok(Parts::new(parts)),
    }
}

/// Puts the parts into the places of their placeholders. A placeholder without a part becomes `null`.
pub(crate) fn put(data: &mut Value, parts: &Parts) {
    match data {
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, parts)),
        Value::Object(fields) if fields.get(PLACEHOLDER) == Some(&Value::Bool(true)) => {
            let number = fields.get("num").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            *data = match number.and_then(|number| parts.all().get(number)) {
                Some(part) => serde_json::json!({ KEY: STANDARD.encode(part) }),
                None => Value::Null,
            };
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| put(field, parts)),
        _ => {}
    }
}

fn take_all(value: &mut Value, parts: &mut Vec<Bytes>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| take_all(item, parts)),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key(KEY) => {
            let part = fields[KEY].as_str().and_then(|text| STANDARD.decode(text).ok());
            let part = part.ok_or_else(|| format!("{KEY} must be base64 with padding"))?;
            *value = serde_json::json!({ PLACEHOLDER: true, "num": parts.len() });
            parts.push(part.into());
            Ok(())
        }
        Value::Object(fields) => fields.values_mut().try_for_each(|field| take_all(field, parts)),
        _ => Ok(()),
    }
}

fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_placeholder),
        Value::Object(fields) => fields.contains_key(PLACEHOLDER) || fields.values().any(has_placeholder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_taken_from_anywhere_in_order() {
        let mut data =
            json!({ "a": [{ "$binary": "AQI=" }, 1], "b": { "$binary": "" }, "c": { "$binary": "x", "d": 1 } });
        let parts = take(&mut data, 2).unwrap();
        assert_eq!(parts, Parts::new(vec![Bytes::from_static(&[1, 2]), Bytes::new()]));
        let placeholder = |number: usize| json!({ "_placeholder": true, "num": number });
        assert_eq!(data, json!({ "a": [placeholder(0), 1], "b": placeholder(1), "c": { "$binary": "x", "d": 1 } }));
        assert_eq!(take(&mut json!({ "a": 1 }), 0).unwrap(), None);
    }

    #[test]
    fn parts_are_put_back() {
        let data = json!(["e", { "a": [{ "$binary": "AQI=" }] }, { "$binary": "" }, 1]);
        let mut taken = data.clone();
        let parts = take(&mut taken, 2).unwrap().unwrap();
        put(&mut taken, &parts);
        assert_eq!(taken, data);
        let mut wrong = json!([{ "_placeholder": true, "num": 7 }, { "_placeholder": true, "num": -1 }]);
        put(&mut wrong, &parts);
        assert_eq!(wrong, json!([null, null]));
    }

    #[test]
    fn invalid_base64_and_too_many_parts_are_refused() {
        assert!(take(&mut json!({ "$binary": "?" }), 9).is_err() && take(&mut json!({ "$binary": 1 }), 9).is_err());
        assert!(take(&mut json!([{ "$binary": "" }, { "$binary": "" }]), 1).is_err());
        let mut placeholder = json!({ "a": [{ "_placeholder": true, "num": 7 }], "b": { "$binary": "" } });
        assert!(take(&mut placeholder, 9).is_err());
        assert_eq!(
            take(&mut json!({ "_placeholder": true, "num": 7 }), 9).unwrap(),
            None,
            "data without parts is unchanged"
        );
    }
}
