//! The steps of a Rust client: see README.md of `languages`.
//!
//! `rust_socketio` 0.6 loses binary acknowledgements, can send only one bare part, and delivers an event's first part
//! under a name that contains the rest of the event.

use std::{
    env,
    fmt::Debug,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use rust_socketio::{ClientBuilder, Event, Payload, TransportType};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(10);
/// A stock client waits longer after each failed attempt.
const BACK_PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let (parts, received) = channel();
    let (closed, gone) = channel();
    let (opened, open) = channel();
    let client = builder(&env::var("TOKEN").unwrap())
        .reconnect(true)
        .reconnect_on_disconnect(true)
        .on(Event::Connect, move |_, _| drop(opened.send(())))
        .on(Event::Close, move |reason, _| closed.send(format!("{reason:?}")).unwrap())
        .on_any(move |event, payload, _| {
            if let Payload::Binary(bytes) = payload {
                parts.send((event.to_string(), bytes.to_vec())).unwrap();
            }
        })
        .connect();
    let client = match client {
        Ok(client) => client,
        Err(error) => return report("connected", false, error),
    };
    report("connected", within(&open).is_some(), "no connect event");

    let ask = |data: Value| {
        let (answered, answer) = channel();
        let _ = client.emit_with_ack("echo", data, PATIENCE, move |payload, _| {
            if let Payload::Text(values) = payload {
                let _ = answered.send(values);
            }
        });
        within(&answer)
    };
    let sent = json!({ "text": "ñ 👋" });
    let answer = ask(sent.clone());
    // The answer may be wrapped in one array more than was sent.
    report("text", answer == Some(vec![json!([sent])]) || answer == Some(vec![sent]), answer);

    client.emit("message", every_byte.clone()).unwrap();
    for (step, name) in [("own", "message"), ("received", "message"), ("emitted", "file")] {
        let one = within(&received);
        let good = one.as_ref().is_some_and(|(event, bytes)| event.starts_with(name) && *bytes == every_byte);
        report(step, good, one);
    }

    let (refusals, refusal) = channel();
    let stranger = builder("garbage").on(Event::Error, move |payload, _| drop(refusals.send(format!("{payload:?}")))).connect();
    let refusal = within(&refusal);
    report("refused", refusal.as_ref().is_some_and(|text| text.contains("invalid_token")), refusal);
    let answer = ask(json!("text"));
    let is_alive = answer.as_ref().is_some_and(|values| format!("{values:?}").contains("\"text\""));
    report("alive", is_alive && gone.try_recv().is_err(), answer);
    drop(stranger);
    let is_back = open.recv_timeout(BACK_PATIENCE).is_ok();
    let answer = ask(json!("text"));
    report("back", is_back && answer.is_some_and(|values| format!("{values:?}").contains("\"text\"")), is_back);
    // The client's threads never end.
    std::process::exit(0);
}

fn builder(token: &str) -> ClientBuilder {
    let transport = match env::var("TRANSPORT").unwrap().as_str() {
        "websocket" => TransportType::Websocket,
        "polling" => TransportType::Polling,
        _ => TransportType::WebsocketUpgrade,
    };
    ClientBuilder::new(env::var("URL").unwrap()).auth(json!({ "token": token })).transport_type(transport).reconnect(false)
}

fn within<T>(channel: &Receiver<T>) -> Option<T> {
    channel.recv_timeout(PATIENCE).ok()
}

fn report(step: &str, good: bool, seen: impl Debug) {
    match good {
        true => println!("ok {step}"),
        false => println!("failed {step} {}", format!("{seen:?}").chars().take(200).collect::<String>()),
    }
}
