//! The document has exactly the events of the code, and its copy in `docs/` is current.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use super::*;

type Names = BTreeSet<String>;

/// Calls in which the name of an event is no literal: the file, the expression, and the names that it can be; none if it
/// is a parameter, or a backend's event is passed on.
const NOT_LITERAL: [(&str, &str, &[&str]); 6] = [
    ("emit/select.rs", "shared", &[]),
    ("room/worker.rs", "event", &[]),
    ("session/announcement.rs", "event", &["user:online", "user:offline"]),
    ("session/client.rs", "event", &[]),
    ("session/disconnect.rs", "event", &[]),
    ("session/subscriber.rs", "event", &[]),
];

/// Functions that make events, and the position of the name among their arguments.
const MAKERS: [(&str, usize); 6] = [
    ("Frame::event(", 1),
    ("Frame::event_json(", 1),
    ("event_content(", 0),
    (".emit(", 0),
    (".about(", 0),
    (".disconnect_from_feed(", 2),
];

fn sources() -> BTreeMap<String, String> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => collect(&path, files),
                false => files.push(path),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    let is_test = |name: &str| name.ends_with("tests.rs") || name.ends_with("tests/mod.rs");
    let files = files.into_iter().map(|path| (name(&path), path)).filter(|(name, _)| !is_test(name));
    files.map(|(name, path)| (name, code(&fs::read_to_string(path).unwrap()))).collect()
}

/// A source without comments and tests.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The arguments of a call whose opening parenthesis precedes `rest`.
fn arguments(rest: &str) -> Vec<String> {
    let (mut found, mut one, mut depth, mut in_text) = (Vec::new(), String::new(), 0, false);
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_text => {
                one.push(character);
                one.extend(characters.next());
                continue;
            }
            '"' => in_text = !in_text,
            '(' | '[' | '{' if !in_text => depth += 1,
            ')' | ']' | '}' if !in_text => {
                if depth == 0 {
                    break;
                }
                depth -= 1;
            }
            ',' if depth == 0 && !in_text => {
                found.push(std::mem::take(&mut one).trim().to_owned());
                continue;
            }
            _ => {}
        }
        one.push(character);
    }
    found.push(one.trim().to_owned());
    found
}

/// The names of the events that a source can send.
fn sent_by(file: &str, code: &str) -> Names {
    let mut names = Names::new();
    for (maker, position) in MAKERS {
        for (at, _) in code.match_indices(maker) {
            let before = &code[..at];
            // `Frame::event_content(` gets what `event_content(` made.
            if before.ends_with("fn ") || before.ends_with("Frame::") {
                continue;
            }
            let argument = arguments(&code[at + maker.len()..]).into_iter().nth(position).unwrap_or_default();
            match argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(name) => _ = names.insert(name.to_owned()),
                None => {
                    let listed = NOT_LITERAL.iter().find(|(listed, name, _)| *listed == file && *name == argument);
                    let (.., others) = listed.unwrap_or_else(|| panic!("{file}: {maker}… gets {argument}"));
                    assert!(others.iter().all(|name| code.contains(&format!("\"{name}\""))), "{file}: {others:?}");
                    names.extend(others.iter().map(|name| (*name).to_owned()));
                }
            }
        }
    }
    // Content that is written as JSON: `"\"name\",…`.
    for (at, start) in code.match_indices("\"\\\"") {
        if let Some((name, _)) = code[at + start.len()..].split_once("\\\",")
            && name.chars().all(|c| c.is_ascii_alphabetic() || ":_-".contains(c))
            // A field of an object is followed by a colon.
            && !name.is_empty()
        {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The names of events of the document, of the channels whose keys are given.
fn documented(action: &str, channels: &[&str]) -> Names {
    let document = document();
    let operations = document["operations"].as_object().unwrap();
    let of = operations.iter().filter(|(key, operation)| {
        operation["action"] == action && channels.iter().any(|channel| key.starts_with(&format!("{channel}.")))
    });
    of.map(|(key, _)| {
        let message = key.split_once('.').unwrap().1;
        document["components"]["messages"][message]["name"].as_str().unwrap().to_owned()
    })
    .collect()
}

/// The names of the arms of a function's `match`.
fn dispatched(code: &str, function: &str) -> Names {
    let (_, body) = code.split_once(function).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let arms = body.lines().filter_map(|line| line.trim_start().strip_prefix('"')?.split_once("\" =>"));
    arms.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_event_that_is_dispatched_is_described_and_no_other() {
    let code = &sources()["event/mod.rs"];
    let of_namespaces = dispatched(code, "async fn dispatch(");
    assert_eq!(of_namespaces, crate::event::NAMES.map(str::to_owned).into());
    assert_eq!(of_namespaces, documented("receive", &["main", "chat"]));
    assert_eq!(dispatched(code, "async fn dispatch_in_feed("), documented("receive", &["feed"]));
}

#[test]
fn every_event_that_the_code_can_send_is_described_and_no_other() {
    let sent: Names = sources().iter().flat_map(|(file, code)| sent_by(file, code)).collect();
    assert!(sent.len() > 25, "{sent:?}");
    assert_eq!(sent, documented("send", &["main", "chat", "feed"]));
}

/// The check itself.
#[test]
fn names_are_found_in_code() {
    let code = code(
        "fn f() {\n    Frame::event(&name(a, \"(\"), \"one\", &json!({ \"a\": [1, 2] }));\n    // Frame::event(a, \"no\", b)\n    \
         client.emit(\n        \"two\",\n        &x,\n    );\n    format!(\"\\\"three:b\\\",{{\\\"unread\\\":{n}}}\");\n}\n#[cfg(test)]\nFrame::event(a, \"no\", b)\n",
    );
    assert_eq!(sent_by("x.rs", &code), ["one", "three:b", "two"].map(str::to_owned).into());
}

#[test]
#[should_panic(expected = "Frame::event(… gets name")]
fn a_name_that_is_no_literal_must_be_listed() {
    sent_by("x.rs", "Frame::event(namespace, name, data)");
}

#[test]
fn references_lead_somewhere() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(to) = fields.get("$ref") {
                    let to = to.as_str().unwrap().trim_start_matches('#');
                    assert!(document.pointer(to).is_some(), "{to}");
                }
                fields.values().for_each(|field| check(field, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn the_copies_are_current() {
    let openapi = serde_json::to_value(super::super::with_batch(super::super::endpoints().1).1).unwrap();
    for (file, wanted) in [("docs/asyncapi.json", document()), ("docs/openapi.json", openapi)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let wanted = serde_json::to_string_pretty(&wanted).unwrap() + "\n";
        if fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
            continue;
        }
        let command = "UPDATE_DOCS=1 cargo test -p jackfield-gateway --lib asyncapi";
        assert!(env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1"), "{file} is out of date: run `{command}`");
        fs::write(&path, wanted).unwrap();
    }
}
