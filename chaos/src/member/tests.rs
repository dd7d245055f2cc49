//! A member against a scripted server.

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

struct Stage {
    member: Member,
    outbox: Outbox,
    shared: Arc<Shared>,
}

impl Stage {
    /// A connected member of one room; it also sends if it has a load.
    fn new(load: Option<Load>) -> Self {
        let shared = Shared::new(vec![Room::new("r".into(), [0])], 1, vec!["m0".into(), "m1".into()], true);
        let sender = load.map(|load| Sender::new(0, vec![0], load));
        let member = Member::new(0, &[(0, 0)], sender, Arc::clone(&shared));
        let mut stage = Self { member, outbox: Outbox::new("/"), shared };
        stage.connect();
        stage
    }

    fn connect(&mut self) {
        self.member.connected(0, &mut self.outbox);
    }

    fn said(&mut self) -> Vec<String> {
        self.outbox.drain().collect()
    }

    fn hear(&mut self, event: &Value) {
        let data = event.to_string();
        self.member.event(event[0].as_str().unwrap(), &data, &mut self.outbox);
    }

    fn ack(&mut self, number: u32, answer: &Value) {
        self.member.ack(number, &json!([answer]).to_string(), &mut self.outbox);
    }

    fn page(&mut self, sequences: std::ops::Range<u32>, more: bool) {
        let messages: Vec<Value> = sequences.map(message).collect();
        self.hear(&json!(["recent-messages", messages, {"room": "r", "more": more}]));
    }

    fn seen(&self) -> Vec<What> {
        self.shared.rooms[0].lock().traces[0].entries.iter().map(|Entry { what, .. }| *what).collect()
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
async fn pages_count_with_the_ack_and_the_next_join_says_the_last_id() {
    let mut stage = Stage::new(None);
    assert_eq!(stage.said(), [r#"420["join-room",{"room":"r"}]"#]);
    stage.page(0..2, true);
    stage.page(2..3, false);
    assert_eq!(stage.seen(), []);
    stage.ack(0, &joined(None));
    stage.hear(&json!(["new-message", message(3)]));
    let fresh = What::Joined(Join::Fresh);
    assert_eq!(stage.seen(), [fresh, What::Page(0), What::Page(1), What::Page(2), What::Live(3)]);
    stage.member.disconnected();
    stage.connect();
    assert_eq!(stage.said(), [r#"421["join-room",{"room":"r","since":"e-3"}]"#]);
    stage.page(4..5, false);
    stage.ack(1, &joined(Some(true)));
    assert_eq!(stage.seen()[5..], [What::Away, What::Joined(Join::Recovered), What::Page(4)]);
    assert_eq!(stage.breaches(), 0);
}

#[tokio::test]
async fn a_join_that_was_cut_off_is_asked_again_from_the_same_place() {
    let mut stage = Stage::new(None);
    stage.page(0..0, false);
    stage.ack(0, &joined(None));
    stage.member.disconnected();
    stage.connect();
    stage.page(0..2, false);
    stage.member.disconnected();
    stage.connect();
    let asked = r#"["join-room",{"room":"r","since":"e-7"}]"#;
    assert_eq!(stage.said()[1..], [format!("421{asked}"), format!("422{asked}")]);
    assert_eq!(stage.seen(), [What::Joined(Join::Fresh), What::Away]);
}

#[tokio::test]
async fn a_refused_join_is_tried_again() {
    tokio::time::pause();
    let mut stage = Stage::new(None);
    stage.said();
    stage.ack(0, &json!({"status": "error", "code": "unavailable", "message": "m"}));
    stage.member.tick(&mut stage.outbox);
    assert_eq!(stage.said(), [""; 0]);
    tokio::time::advance(RETRY).await;
    stage.member.tick(&mut stage.outbox);
    assert_eq!(stage.said().len(), 1);
    assert_eq!(stage.shared.errors.lock()["join-room: unavailable"], 1);
}

#[tokio::test]
async fn resets_and_lost_epochs_are_written_down() {
    let mut stage = Stage::new(None);
    stage.page(0..0, false);
    stage.ack(0, &joined(None));
    stage.hear(&json!(["room-reset", {"room": "r", "position": "f-0"}]));
    stage.member.disconnected();
    stage.said();
    stage.connect();
    assert_eq!(stage.said(), [r#"421["join-room",{"room":"r","since":"f-0"}]"#]);
    stage.page(0..0, false);
    stage.ack(1, &joined(Some(false)));
    assert_eq!(stage.seen()[1..], [What::Reset(0), What::Away, What::Joined(Join::NotRecovered)]);
    assert_eq!(stage.breaches(), 0);
}

#[tokio::test]
async fn what_the_protocol_does_not_allow_is_a_breach() {
    let breaches = |act: fn(&mut Stage)| {
        let mut stage = Stage::new(None);
        act(&mut stage);
        stage.breaches()
    };
    assert_eq!(breaches(|stage| stage.ack(0, &joined(None))), 1, "an ack before the pages");
    assert_eq!(breaches(|stage| stage.ack(5, &joined(None))), 1, "an ack of nothing");
    assert_eq!(breaches(|stage| (0..2).for_each(|_| stage.page(0..1, false))), 1, "a page after the last");
    assert_eq!(breaches(|stage| stage.page(0..101, false)), 1, "a page too long");
    assert_eq!(breaches(|stage| stage.hear(&json!(["new-message", {"id": "1"}]))), 1, "half a message");
    let other_sender = |stage: &mut Stage| {
        let mut message = message(0);
        message["sender"]["id"] = "m1".into();
        stage.hear(&json!(["new-message", message]));
    };
    assert_eq!(breaches(other_sender), 1);
}

#[tokio::test]
async fn announcements_that_a_present_user_is_gone_are_breaches() {
    let mut stage = Stage::new(None);
    stage.hear(&json!(["user:offline", {"userId": "somebody else", "timestamp": "t"}]));
    assert_eq!(stage.breaches(), 0);
    stage.hear(&json!(["user-left", {"userId": "m1", "name": "M", "room": "r"}]));
    assert_eq!(stage.breaches(), 1);
}

#[tokio::test]
async fn live_messages_before_the_ack_are_early() {
    let mut stage = Stage::new(None);
    stage.hear(&json!(["new-message", message(0)]));
    assert_eq!(stage.seen(), [What::Early(0)]);
}

#[tokio::test]
async fn a_sender_keeps_its_window_and_sends_again_until_it_is_acknowledged() {
    tokio::time::pause();
    let mut stage = Stage::new(Some(SLOW));
    stage.said();
    stage.shared.sending.store(true, Ordering::Relaxed);
    stage.member.tick(&mut stage.outbox);
    assert_eq!(stage.said(), [""; 0], "not before it is in the room");
    stage.page(0..0, false);
    stage.ack(0, &joined(None));
    let first = stage.said();
    assert_eq!(first.len(), 2);
    assert!(first[0].starts_with(r#"421["send-message",{"room":"r","content":"0.0."#), "{}", first[0]);
    assert!(first[0].ends_with(r#""clientId":"0-0"}]"#), "{}", first[0]);

    stage.ack(1, &json!({"status": "ok", "messageId": "e-1"}));
    assert_eq!(stage.said().len(), 1, "the place in the window is taken at once");
    stage.shared.sending.store(false, Ordering::Relaxed);
    stage.ack(2, &json!({"status": "error", "code": "unavailable", "message": "m"}));
    stage.member.tick(&mut stage.outbox);
    assert_eq!(stage.said(), [""; 0]);
    tokio::time::advance(Duration::from_millis(200)).await;
    stage.member.tick(&mut stage.outbox);
    let again = stage.said();
    assert_eq!(again[0][again[0].find('[').unwrap()..], first[1][first[1].find('[').unwrap()..]);

    stage.member.disconnected();
    stage.connect();
    assert_eq!(stage.said().len(), 1, "the join comes first");
    stage.page(0..0, false);
    stage.ack(5, &joined(Some(true)));
    assert_eq!(stage.said().len(), 2);
    stage.ack(6, &json!({"status": "ok", "messageId": "e-2"}));
    stage.ack(7, &json!({"status": "ok", "messageId": "e-3"}));
    let figures = &stage.shared.figures;
    let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    assert_eq!((count(&figures.sent), count(&figures.acked), count(&figures.retries)), (3, 3, 3));
    assert_eq!((count(&figures.unavailable), stage.shared.outstanding(), stage.breaches()), (1, 0, 0));
    let room = stage.shared.rooms[0].lock();
    assert_eq!(room.acked.len(), 3);
    assert_eq!(room.acked[1].key, Key { sender: 0, sequence: 1 });
}

#[tokio::test]
async fn members_who_have_not_seen_the_newest_message_are_behind() {
    let mut stage = Stage::new(Some(SLOW));
    stage.page(0..0, false);
    stage.shared.sending.store(true, Ordering::Relaxed);
    stage.ack(0, &joined(None));
    assert!(stage.shared.behind().is_empty());
    stage.ack(1, &json!({"status": "ok", "messageId": "e-0"}));
    assert_eq!(stage.shared.behind(), [(0, 0)]);
    stage.hear(&json!(["new-message", message(0)]));
    assert!(stage.shared.behind().is_empty());
}
