//! An engine that is served on a port of its own, the gateway behind it, and clients that can send any bytes.
//!
//! `Server::start(kind, limits()).await` serves an engine; `server.websocket().await` and `server.polling().await` are
//! clients that have read their open packet; `server.session().await` is the other end of the connection that opened
//! next: what the engine reported of it, and its outbox. A test waits for a condition, at most [`TIMEOUT`], and never for
//! a time to pass. To assert that something does not happen, it lets something happen that comes after it.

mod frames;
mod gateway;
mod http;
mod polling;
mod server;
mod websocket;

use std::time::Duration;

use jackfield_engine::{EngineLimits, Frame, Messages};

pub use self::{
    frames::{BINARY, CLOSE, CONTINUATION, FIN, Message, PING, PONG, TEXT, close_frame, frame, with_length},
    gateway::{Call, Gateway, Permit, Recorder},
    http::{Answer, Exchange},
    polling::Polling,
    server::Server,
    websocket::{WebSocket, handshake_headers},
};

/// For something that must happen.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// Separates the packets of a payload.
pub const SEPARATOR: &str = "\u{1e}";

/// Limits under which nothing but the test ends a connection.
pub fn limits() -> EngineLimits {
    EngineLimits {
        ping_interval: Duration::from_mins(1),
        ping_timeout: Duration::from_mins(1),
        queue: 10_000,
        queue_bytes: 100_000_000,
        queue_age: Duration::from_mins(1),
        max_message: 100_000,
        payload: 0,
        attachments: 10,
        longest_namespace: 10,
        messages: Messages::Packets,
    }
}

/// An event of the main namespace, `2["name",argument]`.
pub fn event(name: &str, argument: &str) -> Frame {
    Frame::event("/", name, &argument).unwrap()
}

/// The numbered event, and the Engine.IO packet that the client gets.
pub fn numbered(number: usize) -> (Frame, String) {
    let frame = Frame::event_json("/", "n", number);
    let packet = packet(&frame);
    (frame, packet)
}

/// The Engine.IO packet of a frame's text.
pub fn packet(frame: &Frame) -> String {
    format!("4{}", std::str::from_utf8(frame.text()).unwrap())
}

/// Repeats `check` until it returns something.
pub async fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let checking = async {
        loop {
            if let Some(found) = check() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    in_time(what, checking).await
}

/// The result of `future`, which must come within [`TIMEOUT`].
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Makes a test of each `async fn case(EngineKind)` for each engine. A new engine is one more line here, and its list of
/// differences in [`crate::differences`].
macro_rules! for_each_engine {
    ($($case:ident),* $(,)?) => {
        crate::harness::for_engine!(native, Native, $($case),*);
        crate::harness::for_engine!(oxide, Oxide, $($case),*);
    };
}

/// Makes a test of each case for one engine.
macro_rules! for_engine {
    ($engine:ident, $kind:ident, $($case:ident),*) => {
        mod $engine {
            use jackfield_engine::EngineKind;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $case() {
                super::$case(EngineKind::$kind).await;
            })*
        }
    };
}

pub(crate) use {for_each_engine, for_engine};
