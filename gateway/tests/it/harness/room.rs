//! Rooms as their members see them.

use std::cell::{Cell, RefCell};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Client, TestCluster, packet::Kind};

/// Messages in a full page of `recent-messages`.
const PAGE: usize = 100;
/// Bytes after which a page ends, and most bytes of one: a message more.
const PAGE_BYTES: (usize, usize) = (200 * 1024, 300 * 1024);

/// The answer to a join, and the messages that came with it.
pub struct Joined {
    /// The acknowledgement.
    pub answer: Value,
    /// The messages of all `recent-messages`.
    pub recent: Vec<Value>,
    /// The number of messages in each.
    pub pages: Vec<usize>,
}

impl Client {
    /// Joins a room, as far as the client has seen it. Fails unless the client gets, in this order and with nothing
    /// else of the room in between: `joined`, `recent-messages` of bounded size, the acknowledgement.
    pub async fn enter(&self, room: &str, since: Option<&str>) -> Joined {
        let from = self.packets().len();
        let data = since.map_or_else(|| json!(room), |since| json!({ "room": room, "since": since }));
        let id = self.start("join-room", &[data], None);
        let answer = self.answer(id, "join-room").await;
        assert_eq!(answer["status"], "ok", "join-room: {answer}");

        let before = self.packets().into_iter().skip(from);
        let before = before.take_while(|packet| !matches!(packet.kind, Kind::Ack { id: other, .. } if other == id));
        let of_room = before.filter_map(|packet| match packet.kind {
            Kind::Event { name, data, .. } if data.iter().any(|about| about["room"] == room) => Some((name, data)),
            _ => None,
        });
        let mut events = of_room.skip_while(|(name, _)| name != "joined");
        assert_eq!(events.next(), Some(("joined".to_owned(), vec![json!({ "room": room })])));
        let events: Vec<_> = events.collect();
        let (mut recent, mut pages) = (Vec::new(), Vec::new());
        for (index, (name, data)) in events.iter().enumerate() {
            let more = index + 1 < events.len();
            assert_eq!(name, "recent-messages");
            assert_eq!(data[1], json!({ "room": room, "more": more }));
            let messages = data[0].as_array().unwrap();
            let (count, size) = (messages.len(), data[0].to_string().len());
            let is_full = count == PAGE || (count < PAGE && (!more || size > PAGE_BYTES.0));
            assert!(is_full && size < PAGE_BYTES.1, "{count} messages, {size} bytes in page {index}");
            recent.extend(messages.iter().cloned());
            pages.push(count);
        }
        assert!(!pages.is_empty(), "there is always one");
        Joined { answer, recent, pages }
    }

    /// Every stored message of a room that the client got, live or on joining, in the order of arrival.
    pub fn room_messages(&self, room: &str) -> Vec<Value> {
        let mut messages = Vec::new();
        for (name, data) in self.events() {
            match (&*name, &*data) {
                ("new-message", [message]) if message["room"] == room => messages.push(message.clone()),
                ("recent-messages", [Value::Array(page), about]) if about["room"] == room => {
                    messages.extend(page.iter().cloned());
                }
                _ => {}
            }
        }
        messages
    }

    /// Stores a message in a room, and returns its id.
    pub async fn send_to(&self, room: &str, content: &str) -> String {
        let answer = self.done("send-message", json!({ "room": room, "content": content })).await;
        answer["messageId"].as_str().unwrap().to_owned()
    }
}

/// Stores this many messages, each sender one after the other, and returns their ids in the order of acknowledgement.
pub async fn send_many(senders: &[&Client], room: &str, count: usize) -> Vec<String> {
    let (next, sent) = (Cell::new(0), RefCell::new(Vec::new()));
    join_all(senders.iter().map(async |sender| {
        while next.get() < count {
            let number = next.replace(next.get() + 1);
            let id = sender.send_to(room, &format!("message {number}")).await;
            sent.borrow_mut().push(id);
        }
    }))
    .await;
    sent.into_inner()
}

/// The log of a room from its newest message back to its oldest, read by pages of `limit`; oldest first. `between` runs
/// after each page.
pub async fn history(client: &Client, room: &str, limit: usize, between: impl AsyncFn()) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::new();
    loop {
        let before = messages.first().map(|message| message["id"].clone());
        let mut request = json!({ "room": room, "limit": limit });
        if let Some(before) = before {
            request["before"] = before;
        }
        let mut answer = client.done("room-history", request).await;
        let Value::Array(mut page) = answer["messages"].take() else { panic!("{answer}") };
        assert!(page.len() <= limit);
        if page.is_empty() {
            return messages;
        }
        page.append(&mut messages);
        messages = page;
        between().await;
    }
}

/// The ids of messages.
pub fn ids(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

/// Members of the room on three nodes, each a user of its own.
pub async fn members(cluster: &TestCluster, room: &str) -> [Client; 3] {
    let members = cluster.clients().await;
    for member in &members {
        member.enter(room, None).await;
    }
    members
}

/// The newest messages of the room's log, as the client's node reads them.
pub async fn room_log(client: &Client, room: &str) -> Vec<Value> {
    let mut answer = client.done("room-history", json!({ "room": room, "limit": 100 })).await;
    let Value::Array(messages) = answer["messages"].take() else { panic!("{answer}") };
    messages
}
