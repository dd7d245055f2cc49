//! An event's name and arguments, as backends write them.

use std::fmt::Write as _;

use jackfield_engine::Parts;
use serde_json::Value;

use super::binary;

/// Most characters of an event's name.
const MAX_EVENT: usize = 128;
/// Names that Socket.IO's clients use for their own events, so that applications cannot receive such events.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// The event's content for [`super::Emission`]: `"event",args…`, and the binary parts that `{"$binary": "<base64>"}` in the
/// arguments stands for.
///
/// # Errors
/// One sentence: the name is invalid, or there are more than `attachments` binary parts, or invalid ones.
pub(crate) fn content(event: &str, args: Vec<Value>, attachments: usize) -> Result<(String, Option<Parts>), String> {
    if !is_event_name(event) {
        return Err(format!("event must have 1 to {MAX_EVENT} characters and be none of {}", RESERVED.join(", ")));
    }
    let (args, parts) = arguments(args, attachments)?;
    let mut content = Value::from(event).to_string();
    if !args.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(content, ",{args}");
    }
    Ok((content, parts))
}

/// Whether an application may send an event of this name.
pub(super) fn is_event_name(event: &str) -> bool {
    (1..=MAX_EVENT).contains(&event.chars().count()) && !RESERVED.contains(&event)
}

/// Like [`content`], of the arguments alone: those of an acknowledgement.
///
/// # Errors
/// There are more than `attachments` binary parts, or invalid ones.
pub(crate) fn arguments(args: Vec<Value>, attachments: usize) -> Result<(String, Option<Parts>), String> {
    let mut args = Value::Array(args);
    let parts = binary::take(&mut args, attachments)?;
    let args = args.to_string();
    // An array's text without its brackets.
    Ok((args[1..args.len() - 1].to_owned(), parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn content_is_the_name_and_the_arguments() {
        let text = |event: &str, args: Vec<Value>| content(event, args, 1).map(|(text, _)| text);
        assert_eq!(text("a\"b", vec![]), Ok(r#""a\"b""#.to_owned()));
        assert_eq!(text("e", vec![json!(1), json!([2]), json!({})]), Ok(r#""e",1,[2],{}"#.to_owned()));
        let (with_part, parts) = content("e", vec![json!({"$binary": "AQ=="})], 1).unwrap();
        assert_eq!((with_part.as_str(), parts.unwrap().count()), (r#""e",{"_placeholder":true,"num":0}"#, 1));
        for bad in ["", "connect", &"x".repeat(129)] {
            assert!(text(bad, vec![]).is_err(), "{bad}");
        }
        assert!(content("e", vec![json!({"$binary": "AQ=="})], 0).is_err());
    }
}
