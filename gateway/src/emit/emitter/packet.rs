//! An emission of an emitter: MessagePack of `[uid, packet, options]`.

use bytes::Bytes;
use jackfield_cluster::wire::{Selector, Target};
use jackfield_engine::Parts;
use rmpv::Value;

use super::{json::Writer, malformed::Malformed};
use crate::emit::content::is_event_name;

/// Levels of objects and arrays around an event's arguments.
const AROUND: usize = 3;
/// Most levels of an argument.
const MAX_DEPTH: usize = 64;
/// Most binary parts.
const MAX_PARTS: usize = 100;
/// Most rooms, users and sockets that a message names.
const MAX_NAMES: usize = 10_000;
/// The types of packets that are events: without and with binary parts.
const EVENTS: [u64; 2] = [2, 5];

/// An emission.
#[derive(Debug, PartialEq)]
pub(super) struct Packet {
    /// `"event",args…` in JSON.
    pub(super) content: String,
    pub(super) parts: Option<Parts>,
    pub(super) selector: Selector,
    /// It may be dropped for clients that do not read fast enough.
    pub(super) volatile: bool,
}

impl Packet {
    /// `None` if it is no event.
    pub(super) fn parse(mut message: &[u8], namespace: &str) -> Result<Option<Self>, Malformed> {
        let depth = AROUND + MAX_DEPTH;
        let value = rmpv::decode::read_value_with_max_depth(&mut message, depth);
        let Ok(Value::Array(message)) = value else { return Err(Malformed("no MessagePack of a list")) };
        let [_, packet, options] = &message[..] else { return Err(Malformed("not three values")) };
        let is_event = field(packet, "type").and_then(Value::as_u64).is_some_and(|kind| EVENTS.contains(&kind));
        if !is_event {
            return Ok(None);
        }
        if field(packet, "nsp").and_then(Value::as_str).is_some_and(|nsp| nsp != namespace) {
            return Err(Malformed("another namespace than its channel's"));
        }
        let Some(Value::Array(data)) = field(packet, "data") else { return Err(Malformed("no event")) };
        let (content, parts) = content(data)?;
        let flags = field(options, "flags");
        let volatile =
            flags.and_then(|flags| field(flags, "volatile")).is_some_and(|flag| *flag == Value::Boolean(true));
        let any = names(field(options, "rooms"))?.map(|name| Target::receiver(&name)).collect();
        let except = names(field(options, "except"))?.flat_map(|name| Target::excepted(&name)).collect();
        Ok(Some(Self { content, parts, selector: Selector { any, except }, volatile }))
    }
}

fn content(data: &[Value]) -> Result<(String, Option<Parts>), Malformed> {
    let [Value::String(name), args @ ..] = data else { return Err(Malformed("no event's name")) };
    let name = name.as_str().filter(|name| is_event_name(name)).ok_or(Malformed("a wrong event's name"))?;
    let mut writer = Writer::new(MAX_PARTS);
    writer.text(name);
    for arg in args {
        writer.comma();
        writer.value(arg)?;
    }
    let (content, parts): (String, Vec<Bytes>) = writer.finish()?;
    Ok((content, Parts::new(parts)))
}

/// A field of an object.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(fields) = object else { return None };
    fields.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

/// A list of names. None is an empty list.
fn names(list: Option<&Value>) -> Result<impl Iterator<Item = String>, Malformed> {
    let list = match list {
        None | Some(Value::Nil) => &[][..],
        Some(Value::Array(list)) if list.len() <= MAX_NAMES => list,
        Some(_) => return Err(Malformed("a wrong list of rooms")),
    };
    let name = |value: &Value| match value {
        Value::String(name) => name.as_str().map(str::to_owned),
        // Socket.IO takes numbers, too.
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let names: Option<Vec<String>> = list.iter().map(name).collect();
    Ok(names.ok_or(Malformed("a wrong list of rooms"))?.into_iter())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn map(fields: Vec<(&str, Value)>) -> Value {
        Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    fn list(names: &[&str]) -> Value {
        Value::Array(names.iter().map(|name| (*name).into()).collect())
    }

    fn message(data: Vec<Value>, options: Value) -> Vec<u8> {
        let packet = map(vec![("type", 2.into()), ("data", Value::Array(data)), ("nsp", "/".into())]);
        encode(&Value::Array(vec!["emitter".into(), packet, options]))
    }

    fn parse(message: &[u8]) -> Result<Option<Packet>, Malformed> {
        Packet::parse(message, "/")
    }

    #[test]
    fn an_emission_is_read() {
        let options = map(vec![
            ("rooms", list(&["r", "user:u"])),
            ("except", list(&["s"])),
            ("flags", map(vec![("volatile", true.into()), ("compress", false.into())])),
        ]);
        let data = vec!["e".into(), 1.into(), Value::Binary(vec![1, 2]), list(&["x"])];
        let packet = parse(&message(data, options)).unwrap().unwrap();
        assert_eq!(packet.content, r#""e",1,{"_placeholder":true,"num":0},["x"]"#);
        assert_eq!(packet.parts, Some(Parts::one(Bytes::from_static(&[1, 2]))));
        let any = vec![Target::Room("r".into()), Target::User("u".into())];
        assert_eq!(packet.selector, Selector { any, except: vec![Target::Room("s".into())] });
        assert!(packet.volatile);
        let plain = parse(&message(vec!["e".into()], map(vec![]))).unwrap().unwrap();
        assert_eq!((plain.content.as_str(), plain.selector, plain.volatile), ("\"e\"", Selector::default(), false));
    }

    #[test]
    fn what_is_wrong_is_refused_as_a_whole() {
        let good = || map(vec![("rooms", list(&[]))]);
        let mut deep = Value::Nil;
        for _ in 0..70 {
            deep = Value::Array(vec![deep]);
        }
        for (data, options) in [
            (vec![], good()),
            (vec![1.into()], good()),
            (vec!["connect".into()], good()),
            (vec!["x".repeat(129).into()], good()),
            (vec!["e".into(), deep], good()),
            (vec!["e".into(), Value::Array(vec![Value::Binary(vec![]); MAX_PARTS + 1])], good()),
            (vec!["e".into(), Value::Binary(vec![]), map(vec![("_placeholder", true.into())])], good()),
            (vec!["e".into()], map(vec![("rooms", "r".into())])),
            (vec!["e".into()], map(vec![("except", Value::Array(vec![Value::Nil]))])),
        ] {
            assert!(parse(&message(data.clone(), options)).is_err(), "{data:?}");
        }
        let other = map(vec![("type", 2.into()), ("data", list(&["e"])), ("nsp", "/chat".into())]);
        assert!(parse(&encode(&Value::Array(vec!["emitter".into(), other, good()]))).is_err());
        let connect = map(vec![("type", 0.into()), ("data", list(&["e"])), ("nsp", "/".into())]);
        assert_eq!(parse(&encode(&Value::Array(vec!["emitter".into(), connect, good()]))), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_without_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        /// One byte of a good message changed.
        #[test]
        fn a_changed_message_parses_without_panic(at: prop::sample::Index, byte: u8) {
            let options = map(vec![("rooms", list(&["r"])), ("flags", map(vec![]))]);
            let mut bytes = message(vec!["e".into(), Value::Binary(vec![7; 40]), 1.5.into()], options);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = parse(&bytes);
        }
    }
}
