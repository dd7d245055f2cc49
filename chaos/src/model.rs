//! A miniature gateway for tests: rooms as PROTOCOL promises them, in memory, with faults that break some of the
//! promises. It tests client, members and checker together over real sockets, without the product.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::{
    assignment::Sizes,
    checker::Rules,
    client::Command,
    crowd::{ClientConfig, Crowd},
    member::Load,
    report::Report,
    shared::Figures,
    users,
};

/// Faults of the model; a number means one time in so many.
#[derive(Clone, Copy, Default)]
struct Faults {
    drops: Option<u32>,
    doubles: Option<u32>,
    forgets_client_ids: bool,
    resets: Option<u32>,
    /// Not a fault of rooms: closes a member's connection after a message to it.
    closes: Option<u32>,
    /// Not a fault of rooms either: answers `unavailable` although the message was stored.
    unavailable: Option<u32>,
}

#[derive(Default)]
struct Room {
    log: Vec<Value>,
    by_client_id: HashMap<String, usize>,
    members: HashMap<u64, mpsc::Sender<String>>,
}

struct Model {
    rooms: HashMap<String, Room>,
    rng: StdRng,
    faults: Faults,
    connections: u64,
}

const QUEUE: usize = 4_096;

impl Model {
    fn hit(&mut self, one_in: Option<u32>) -> bool {
        one_in.is_some_and(|one_in| self.rng.random_ratio(1, one_in))
    }

    fn id(index: usize) -> String {
        format!("a-{index:010}")
    }

    fn join(&mut self, connection: u64, frames: &mpsc::Sender<String>, data: &Value) -> Value {
        let name = data["room"].as_str().unwrap();
        let forgets = data["since"].is_string() && self.hit(self.faults.resets);
        let room = self.rooms.entry(name.into()).or_default();
        let newest = room.log.len();
        let from = data["since"].as_str().map(|since| since[2..].parse::<usize>().unwrap());
        let missed: Range<usize> = from.filter(|_| !forgets).unwrap_or(newest.saturating_sub(50))..newest;
        frames.try_send(format!("42{}", json!(["joined", {"room": name}]))).unwrap();
        let pages: Vec<&[Value]> = room.log[missed].chunks(100).collect();
        for index in 0..pages.len().max(1) {
            let page = pages.get(index).copied().unwrap_or_default();
            let of = json!({"room": name, "more": index + 1 < pages.len()});
            frames.try_send(format!("42{}", json!(["recent-messages", page, of]))).unwrap();
        }
        room.members.insert(connection, frames.clone());
        let mut answer = json!({"status": "ok", "room": name, "position": Self::id(newest), "members": 1});
        if from.is_some() {
            answer["recovered"] = (!forgets).into();
        }
        answer
    }

    fn send(&mut self, user: &str, data: &Value) -> Value {
        let (name, client_id) = (data["room"].as_str().unwrap(), data["clientId"].as_str().unwrap());
        let room = self.rooms.get(name).unwrap();
        let known = room.by_client_id.get(client_id).copied().filter(|_| !self.faults.forgets_client_ids);
        let index = known.unwrap_or_else(|| self.store(name, user, client_id, &data["content"]));
        if self.hit(self.faults.unavailable) {
            return json!({"status": "error", "code": "unavailable", "message": "Redis did not answer"});
        }
        json!({"status": "ok", "messageId": Self::id(index)})
    }

    /// Numbers begin at 1, so `since` is the index of the next message.
    fn store(&mut self, name: &str, user: &str, client_id: &str, content: &Value) -> usize {
        let room = self.rooms.get_mut(name).unwrap();
        let index = room.log.len() + 1;
        let sender = json!({"id": user, "name": user});
        let message =
            json!({"id": Self::id(index), "room": name, "content": content, "sender": sender, "timestamp": "t"});
        room.by_client_id.insert(client_id.into(), index);
        let frame = format!("42{}", json!(["new-message", message]));
        room.log.push(message);
        let members: Vec<_> = room.members.iter().map(|(number, frames)| (*number, frames.clone())).collect();
        for (number, frames) in members {
            let copies = match (self.hit(self.faults.drops), self.hit(self.faults.doubles)) {
                (true, _) => 0,
                (_, true) => 2,
                _ => 1,
            };
            let sent = (0..copies).all(|_| frames.try_send(frame.clone()).is_ok());
            if !sent || self.hit(self.faults.closes) {
                // Only rooms own its queue then: removing it from them closes the connection.
                self.rooms.values_mut().for_each(|room| drop(room.members.remove(&number)));
            }
        }
        index
    }
}

async fn serve(stream: TcpStream, model: Arc<Mutex<Model>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut socket = accept_async(stream).await.ok()?;
    let handshake = r#"0{"sid":"s","pingInterval":25000,"pingTimeout":20000,"upgrades":[]}"#;
    socket.send(Message::text(handshake)).await.ok()?;
    let connect = socket.next().await?.ok()?.into_text().ok()?;
    // The tokens of this test are signed, but the model reads only their `sub`.
    let token: Value = serde_json::from_str(&connect[2..]).ok()?;
    let user = subject(token["token"].as_str()?)?;
    socket.send(Message::text("40{}")).await.ok()?;
    let (frames, mut queue) = mpsc::channel::<String>(QUEUE);
    let connection = {
        let mut model = model.lock().unwrap();
        model.connections += 1;
        model.connections
    };
    // After the first join only rooms own this sender: removing it from them closes the connection.
    let mut own = Some(frames);
    loop {
        tokio::select! {
            frame = queue.recv() => socket.send(Message::text(frame?)).await.ok()?,
            packet = socket.next() => {
                let text = packet?.ok()?.into_text().ok()?;
                let (number, data) = text.strip_prefix("42")?.split_at(text.find('[')? - 2);
                let event: Value = serde_json::from_str(data).ok()?;
                let mut model = model.lock().unwrap();
                let joined = model.rooms.values().find_map(|room| room.members.get(&connection).cloned());
                let frames = joined.or_else(|| own.take())?;
                let answer = match event[0].as_str()? {
                    "join-room" => model.join(connection, &frames, &event[1]),
                    _ => model.send(&user, &event[1]),
                };
                frames.try_send(format!("43{number}{}", json!([answer]))).ok()?;
            }
        }
    }
}

fn subject(token: &str) -> Option<String> {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).ok()?.claims;
    Some(claims["sub"].as_str()?.into())
}

async fn run(faults: Faults, unplugged: usize) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let rng = StdRng::seed_from_u64(7);
    let model = Arc::new(Mutex::new(Model { rooms: HashMap::new(), rng, faults, connections: 0 }));
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&model)));
        }
    });
    let sizes = Sizes { rooms: 4, members: 20, senders: 6 };
    let load = Load { window: 4, every: None, length: 0 };
    let clients = ClientConfig { sizes, load, seed: 1, ..ClientConfig::default() };
    let users = users::signed(sizes.members, "secret").unwrap();
    let crowd = Crowd::start(&clients, &[format!("127.0.0.1:{port}")], users);
    crowd.joined().await.unwrap();
    crowd.start_sending();
    for command in crowd.commands.iter().take(unplugged) {
        command.try_send(Command::Unplug(Duration::from_millis(50))).unwrap();
    }
    let enough = async {
        while crowd.shared.figures.lock().acked < 3_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), enough).await.unwrap();
    let unfinished = crowd.settle().await;
    let shared = crowd.stop().await;
    Report::of(&shared, &Rules { kept: 1_000_000, ..Rules::default() }, &[], 1, unfinished)
}

#[tokio::test]
async fn a_room_that_keeps_its_promises_is_clean() {
    let report = run(Faults::default(), 0).await;
    assert!(report.is_clean(), "{report}{:#?}", report.details);
    let Figures { sent, acked, .. } = report.figures;
    assert!(acked >= 3_000 && acked == sent && report.deliveries > 5 * sent, "{report}");
}

#[tokio::test]
async fn lost_connections_and_lost_answers_are_repaired() {
    let faults = Faults { closes: Some(2_000), unavailable: Some(100), ..Faults::default() };
    let report = run(faults, 10).await;
    assert!(report.is_clean(), "{report}{:#?}", report.details);
    let Figures { reconnects, unavailable, retries, .. } = report.figures;
    assert!(reconnects > 10 && unavailable > 0 && retries > 0, "{report}");
}

#[tokio::test]
async fn a_dropped_delivery_is_lost() {
    let report = run(Faults { drops: Some(500), ..Faults::default() }, 0).await;
    assert!(report.lost > 0 && report.doubled == 0 && report.reordered == 0, "{report}");
    assert!(!report.is_clean());
}

#[tokio::test]
async fn a_doubled_delivery_is_seen() {
    let report = run(Faults { doubles: Some(500), ..Faults::default() }, 0).await;
    assert!(report.doubled > 0 && report.lost == 0 && report.reordered == 0, "{report}");
}

#[tokio::test]
async fn a_forgotten_client_id_is_seen() {
    let report = run(Faults { forgets_client_ids: true, unavailable: Some(100), ..Faults::default() }, 0).await;
    assert!(report.doubled > 0 && report.lost == 0, "{report}");
}

#[tokio::test]
async fn a_member_that_is_not_recovered_is_seen() {
    let report = run(Faults { resets: Some(2), ..Faults::default() }, 20).await;
    assert!(report.unexpected_resets > 0 && report.lost == 0 && report.doubled == 0, "{report}");
}
