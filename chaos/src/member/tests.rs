//! A member against a scripted server.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::*;
use crate::record::{Entry, Key, Room, content};

/// A content of sender 0.
fn text(sequence: u32) -> String {
    content(Key { sender: 0, sequence }, 0, 0)
}

fn message(sequence: u32) -> Value {
    let sender = json!({"id": "m0", "name": "M"});
    json!({"id": format!("e-{sequence}"), "room": "r", "content": text(sequence), "sender": sender, "timestamp": "t"})
}

struct Fixture {
    member: Member,
    outbox: Outbox,
    shared: Arc<Shared>,
}

impl Fixture {
    /// A connected member of one room; it also sends if it has a load.
    fn new(load: Option<Load>) -> Self {
        let shared = Shared::new(vec![Room::new("r".into(), [0])], 1, vec!["m0".into(), "m1".into()], true);
        let sender = load.map(|load| Sender::new(0, vec![0], load));
        let member = Member::new(0, &[(0, 0)], sender, Arc::clone(&shared));
        let mut fixture = Self { member, outbox: Outbox::default(), shared };
        fixture.connect();
        fixture
    }

    fn connect(&mut self) {
        self.member.connected(false, &mut self.outbox);
    }

    fn sent(&mut self) -> Vec<String> {
        self.outbox.drain().collect()
    }

    fn receive(&mut self, event: &Value) {
        let data = event.to_string();
        self.member.event(event[0].as_str().unwrap(), &data, &mut self.outbox);
    }

    fn ack(&mut self, number: u32, answer: &Value) {
        self.member.ack(number, &json!([answer]).to_string(), &mut self.outbox);
    }

    fn page(&mut self, sequences: std::ops::Range<u32>, more: bool) {
        let messages: Vec<Value> = sequences.map(message).collect();
        self.receive(&json!(["recent-messages", messages, {"room": "r", "more": more}]));
    }

    fn seen(&self) -> Vec<Observation> {
        self.shared.rooms[0].lock().traces[0].entries.iter().map(|Entry { observation, .. }| *observation).collect()
    }

    fn breaches(&self) -> u64 {
        self.shared.breaches.lock().0
    }
}

fn joined(recovered: Option<bool>) -> Value {
    let mut answer = json!({"status": "ok", "room": "r", "position": "e-7", "members": 1});
    if let Some(recovered) = recovered {
        answer["recovered"] = recovered.into();
    }
    answer
}

const SLOW: Load = Load { window: 2, every: None, length: 0 };

#[tokio::test]
async fn pages_count_with_the_ack_and_the_next_join_sends_the_last_id() {
    let mut fixture = Fixture::new(None);
    assert_eq!(fixture.sent(), [r#"420["join-room",{"room":"r"}]"#]);
    fixture.page(0..2, true);
    fixture.page(2..3, false);
    assert_eq!(fixture.seen(), []);
    fixture.ack(0, &joined(None));
    fixture.receive(&json!(["new-message", message(3)]));
    let fresh = Observation::Joined(Join::Fresh);
    assert_eq!(
        fixture.seen(),
        [fresh, Observation::Page(0), Observation::Page(1), Observation::Page(2), Observation::Live(3)]
    );
    fixture.member.disconnected();
    fixture.connect();
    assert_eq!(fixture.sent(), [r#"421["join-room",{"room":"r","since":"e-3"}]"#]);
    fixture.page(4..5, false);
    fixture.ack(1, &joined(Some(true)));
    assert_eq!(
        fixture.seen()[5..],
        [Observation::Disconnected, Observation::Joined(Join::Recovered), Observation::Page(4)]
    );
    assert_eq!(fixture.breaches(), 0);
}

#[tokio::test]
async fn a_member_that_was_recovered_is_in_its_rooms() {
    let mut fixture = Fixture::new(None);
    fixture.page(0..1, false);
    fixture.ack(0, &joined(None));
    assert!(fixture.member.disconnected());
    fixture.sent();
    fixture.member.connected(true, &mut fixture.outbox);
    fixture.receive(&json!(["new-message", message(1), "r1.x"]));
    assert_eq!(fixture.sent(), [""; 0]);
    let back = [Observation::Disconnected, Observation::Joined(Join::Recovered), Observation::Live(1)];
    assert_eq!(fixture.seen()[2..], back);
    assert_eq!((fixture.breaches(), fixture.shared.figures.lock().joined), (0, 1));
    // A join that was not acknowledged is not recovered.
    fixture.member.disconnected();
    fixture.connect();
    fixture.page(2..3, false);
    assert!(!fixture.member.disconnected());
}

#[tokio::test]
async fn an_interrupted_join_is_repeated_from_the_same_position() {
    let mut fixture = Fixture::new(None);
    fixture.page(0..0, false);
    fixture.ack(0, &joined(None));
    fixture.member.disconnected();
    fixture.connect();
    fixture.page(0..2, false);
    fixture.member.disconnected();
    fixture.connect();
    let asked = r#"["join-room",{"room":"r","since":"e-7"}]"#;
    assert_eq!(fixture.sent()[1..], [format!("421{asked}"), format!("422{asked}")]);
    assert_eq!(fixture.seen(), [Observation::Joined(Join::Fresh), Observation::Disconnected]);
}

#[tokio::test]
async fn a_refused_join_is_tried_again() {
    tokio::time::pause();
    let mut fixture = Fixture::new(None);
    fixture.sent();
    fixture.ack(0, &json!({"status": "error", "code": "unavailable", "message": "m"}));
    fixture.member.tick(&mut fixture.outbox);
    assert_eq!(fixture.sent(), [""; 0]);
    tokio::time::advance(RETRY).await;
    fixture.member.tick(&mut fixture.outbox);
    assert_eq!(fixture.sent().len(), 1);
    assert_eq!(fixture.shared.errors.lock()["join-room: unavailable"], 1);
}

#[tokio::test]
async fn resets_and_lost_epochs_are_recorded() {
    let mut fixture = Fixture::new(None);
    fixture.page(0..0, false);
    fixture.ack(0, &joined(None));
    fixture.receive(&json!(["room-reset", {"room": "r", "position": "f-0"}]));
    fixture.member.disconnected();
    fixture.sent();
    fixture.connect();
    assert_eq!(fixture.sent(), [r#"421["join-room",{"room":"r","since":"f-0"}]"#]);
    fixture.page(0..0, false);
    fixture.ack(1, &joined(Some(false)));
    assert_eq!(
        fixture.seen()[1..],
        [Observation::Reset(0), Observation::Disconnected, Observation::Joined(Join::NotRecovered)]
    );
    assert_eq!(fixture.breaches(), 0);
}

#[tokio::test]
async fn violations_of_the_protocol_are_breaches() {
    let breaches = |act: fn(&mut Fixture)| {
        let mut fixture = Fixture::new(None);
        act(&mut fixture);
        fixture.breaches()
    };
    assert_eq!(breaches(|fixture| fixture.ack(0, &joined(None))), 1, "an ack before the pages");
    assert_eq!(breaches(|fixture| fixture.ack(5, &joined(None))), 1, "an ack of nothing");
    assert_eq!(breaches(|fixture| (0..2).for_each(|_| fixture.page(0..1, false))), 1, "a page after the last");
    assert_eq!(breaches(|fixture| fixture.page(0..101, false)), 1, "a page too long");
    assert_eq!(breaches(|fixture| fixture.receive(&json!(["new-message", {"id": "1"}]))), 1, "half a message");
    let other_sender = |fixture: &mut Fixture| {
        let mut message = message(0);
        message["sender"]["id"] = "m1".into();
        fixture.receive(&json!(["new-message", message]));
    };
    assert_eq!(breaches(other_sender), 1);
}

#[tokio::test]
async fn announcing_a_present_user_as_gone_is_a_breach() {
    let mut fixture = Fixture::new(None);
    fixture.receive(&json!(["user:offline", {"userId": "somebody else", "timestamp": "t"}]));
    assert_eq!(fixture.breaches(), 0);
    fixture.receive(&json!(["user-left", {"userId": "m1", "name": "M", "room": "r"}]));
    assert_eq!(fixture.breaches(), 1);
}

#[tokio::test]
async fn live_messages_before_the_ack_are_early() {
    let mut fixture = Fixture::new(None);
    fixture.receive(&json!(["new-message", message(0)]));
    assert_eq!(fixture.seen(), [Observation::Early(0)]);
}

#[tokio::test]
async fn a_sender_keeps_its_window_and_sends_again_until_it_is_acknowledged() {
    tokio::time::pause();
    let mut fixture = Fixture::new(Some(SLOW));
    fixture.sent();
    fixture.shared.sending.store(true, Ordering::Relaxed);
    fixture.member.tick(&mut fixture.outbox);
    assert_eq!(fixture.sent(), [""; 0], "not before it is in the room");
    fixture.page(0..0, false);
    fixture.ack(0, &joined(None));
    let first = fixture.sent();
    assert_eq!(first.len(), 2);
    assert!(first[0].starts_with(r#"421["send-message",{"room":"r","content":"0.0."#), "{}", first[0]);
    assert!(first[0].ends_with(r#""clientId":"0-0"}]"#), "{}", first[0]);

    fixture.ack(1, &json!({"status": "ok", "messageId": "e-1"}));
    assert_eq!(fixture.sent().len(), 1, "the place in the window is taken at once");
    fixture.shared.sending.store(false, Ordering::Relaxed);
    fixture.ack(2, &json!({"status": "error", "code": "unavailable", "message": "m"}));
    fixture.member.tick(&mut fixture.outbox);
    assert_eq!(fixture.sent(), [""; 0]);
    tokio::time::advance(Duration::from_millis(200)).await;
    fixture.member.tick(&mut fixture.outbox);
    let again = fixture.sent();
    assert_eq!(again[0][again[0].find('[').unwrap()..], first[1][first[1].find('[').unwrap()..]);

    fixture.member.disconnected();
    fixture.connect();
    assert_eq!(fixture.sent().len(), 1, "the join comes first");
    fixture.page(0..0, false);
    fixture.ack(5, &joined(Some(true)));
    assert_eq!(fixture.sent().len(), 2);
    fixture.ack(6, &json!({"status": "ok", "messageId": "e-2"}));
    fixture.ack(7, &json!({"status": "ok", "messageId": "e-3"}));
    let figures = fixture.shared.figures.lock().clone();
    assert_eq!((figures.sent, figures.acked, figures.retries), (3, 3, 3));
    assert_eq!((figures.unavailable, fixture.shared.outstanding(), fixture.breaches()), (1, 0, 0));
    let room = fixture.shared.rooms[0].lock();
    assert_eq!(room.acked.len(), 3);
    assert_eq!(room.acked[1].key, Key { sender: 0, sequence: 1 });
}

#[tokio::test]
async fn members_that_have_not_seen_the_newest_message_are_behind() {
    let mut fixture = Fixture::new(Some(SLOW));
    fixture.page(0..0, false);
    fixture.shared.sending.store(true, Ordering::Relaxed);
    fixture.ack(0, &joined(None));
    assert!(fixture.shared.behind().is_empty());
    fixture.ack(1, &json!({"status": "ok", "messageId": "e-0"}));
    assert_eq!(fixture.shared.behind(), [(0, 0)]);
    fixture.receive(&json!(["new-message", message(0)]));
    assert!(fixture.shared.behind().is_empty());
}
