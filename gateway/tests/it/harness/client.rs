//! A client as an application sees it: events, acknowledgements, and the end.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use jackfield_engine::{CloseReason, Inbound, Parts, testing::TestClient};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    User,
    packet::{Kind, Packet},
};

/// Longest wait for anything, in the test's own time.
const WITHIN: Duration = Duration::from_secs(60);

/// One connection, and one of its namespaces. [`Client::also_in`] is another of the same connection.
pub struct Client {
    pub user: User,
    namespace: String,
    transport: std::rc::Rc<Transport>,
}

struct Transport {
    client: TestClient,
    /// Everything that has arrived, in order.
    packets: RefCell<Vec<Packet>>,
    /// Wakes the others that wait: one of them has read their packets, too.
    arrived: Notify,
    last_ack: Cell<i64>,
}

impl Client {
    pub fn new(client: TestClient, user: User) -> Self {
        let transport =
            Transport { client, packets: RefCell::default(), arrived: Notify::new(), last_ack: Cell::new(0) };
        Self { user, namespace: "/".into(), transport: transport.into() }
    }

    /// Sends a CONNECT.
    pub fn connect(&self, namespace: &str, token: &str) {
        let auth = json!({ "token": token }).to_string();
        self.send(&Inbound::Connect { namespace, auth: Some(&auth) });
    }

    /// The same connection in one more namespace.
    pub async fn also_in(&self, namespace: &str) -> Self {
        self.connect(namespace, &self.user.token());
        let other = self.at(namespace);
        other.next("authenticated").await;
        other
    }

    /// The same connection, as far as this namespace goes.
    pub fn at(&self, namespace: &str) -> Self {
        Self { user: self.user.clone(), namespace: namespace.to_owned(), transport: self.transport.clone() }
    }

    /// Leaves the namespace.
    pub fn leave_namespace(&self) {
        self.send(&Inbound::Disconnect { namespace: &self.namespace });
    }

    /// Cuts the transport, as a lost connection does.
    pub fn cut(&self) {
        self.transport.client.cut();
    }

    /// Sends an event without asking for an acknowledgement.
    pub fn emit(&self, event: &str, data: Value) {
        self.emit_with(event, &[data]);
    }

    /// As [`Client::emit`], with any number of arguments.
    pub fn emit_with(&self, event: &str, data: &[Value]) {
        self.event(event, data, None, None);
    }

    /// Sends an event with these arguments, and returns its acknowledgement.
    pub async fn ask(&self, event: &str, data: Value) -> Value {
        self.ask_with(event, &[data], None).await
    }

    /// As [`Client::ask`], with any number of arguments and binary parts.
    pub async fn ask_with(&self, event: &str, data: &[Value], parts: Option<Parts>) -> Value {
        let id = self.start(event, data, parts);
        self.answer(id, event).await
    }

    /// Sends an event now; [`Client::answer`] waits for its acknowledgement.
    pub fn start(&self, event: &str, data: &[Value], parts: Option<Parts>) -> i64 {
        let id = self.transport.last_ack.get() + 1;
        self.transport.last_ack.set(id);
        self.event(event, data, Some(id), parts);
        id
    }

    /// The acknowledgement of an event that was started.
    pub async fn answer(&self, id: i64, event: &str) -> Value {
        self.answers(id, event).await.into_iter().next().unwrap_or_default()
    }

    /// As [`Client::answer`], with all arguments.
    pub async fn answers(&self, id: i64, event: &str) -> Vec<Value> {
        self.wait(&format!("the acknowledgement of {event}"), |packet| match &packet.kind {
            Kind::Ack { id: other, data } if *other == id => Some(data.clone()),
            _ => None,
        })
        .await
    }

    /// As [`Client::ask`]; the answer has to be good.
    pub async fn done(&self, event: &str, data: Value) -> Value {
        let answer = self.ask(event, data).await;
        assert_ne!(answer["status"], "error", "{event}: {answer}");
        answer
    }

    /// As [`Client::ask`]; the answer has to be this error, with a message and nothing else but a time to retry.
    pub async fn refused(&self, event: &str, data: Value, code: &str) -> Value {
        let answer = self.ask(event, data).await;
        let mut expected = json!({ "status": "error", "code": code, "message": answer["message"] });
        if code == "rate_limited" {
            expected["retryAfterMs"] = answer["retryAfterMs"].clone();
        }
        assert_eq!(answer, expected, "{event}");
        answer
    }

    /// As [`Client::ask_with`]; the event has to be invalid, and the answer to say nothing but why. Returns that.
    pub async fn invalid(&self, event: &str, data: &[Value], parts: Option<Parts>) -> String {
        let answer = self.ask_with(event, data, parts).await;
        let message = answer["message"].as_str().unwrap_or_default().to_owned();
        let expected = json!({ "status": "error", "code": "validation_failed", "message": message });
        assert_eq!(answer, expected, "{event} {data:?}");
        message
    }

    /// Joins a room, and returns the acknowledgement.
    pub async fn join(&self, room: &str) -> Value {
        self.done("join-room", json!(room)).await
    }

    /// The first argument of the next event of this name that was not taken yet.
    pub async fn next(&self, event: &str) -> Value {
        self.next_where(event, |_| true).await
    }

    /// As [`Client::next`], among those events that `is` chooses.
    pub async fn next_where(&self, event: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.wait(&format!("the event {event}"), |packet| match &packet.kind {
            Kind::Event { name, data, .. } if name == event => {
                data.first().cloned().or(Some(Value::Null)).filter(|data| is(data))
            }
            _ => None,
        })
        .await
    }

    /// The id of the next event of this name that asks for an acknowledgement.
    pub async fn asked(&self, event: &str) -> i64 {
        self.wait(&format!("the event {event} with an id"), |packet| match &packet.kind {
            Kind::Event { name, id, .. } if name == event => *id,
            _ => None,
        })
        .await
    }

    /// Acknowledges an event of the server.
    pub fn acknowledge(&self, id: i64, args: &Value, parts: Option<Parts>) {
        self.send(&Inbound::Ack { namespace: &self.namespace, id, content: &args.to_string(), parts });
    }

    /// Forgets all events of this name so far.
    pub fn forget(&self, event: &str) {
        self.transport.read();
        let is_it = |packet: &Packet| matches!(&packet.kind, Kind::Event { name, .. } if name == event);
        self.transport.packets.borrow_mut().retain(|packet| packet.namespace != self.namespace || !is_it(packet));
    }

    /// The first arguments of all events of this name so far, taken or not.
    pub fn all(&self, event: &str) -> Vec<Value> {
        let events = self.events().into_iter().filter(|(name, _)| name == event);
        events.map(|(_, data)| data.into_iter().next().unwrap_or_default()).collect()
    }

    /// The names and arguments of all events so far.
    pub fn events(&self) -> Vec<(String, Vec<Value>)> {
        let events = self.packets().into_iter().filter_map(|packet| match packet.kind {
            Kind::Event { name, data, .. } => Some((name, data)),
            _ => None,
        });
        events.collect()
    }

    /// The types of all packets of this namespace so far.
    pub fn packet_types(&self) -> Vec<&'static str> {
        let types = self.packets().into_iter().map(|packet| match packet.kind {
            Kind::Connect(_) => "CONNECT",
            Kind::ConnectError(_) => "CONNECT_ERROR",
            Kind::Disconnect => "DISCONNECT",
            Kind::Event { .. } => "EVENT",
            Kind::Ack { .. } => "ACK",
        });
        types.collect()
    }

    /// All packets of this namespace so far.
    pub(super) fn packets(&self) -> Vec<Packet> {
        self.transport.read();
        let packets = self.transport.packets.borrow();
        packets.iter().filter(|packet| packet.namespace == self.namespace).cloned().collect()
    }

    /// The public id of the socket.
    pub fn id(&self) -> String {
        self.transport.read();
        let packets = self.transport.packets.borrow();
        let own = packets.iter().filter(|packet| packet.namespace == self.namespace);
        let mut sid = own.filter_map(|packet| match &packet.kind {
            Kind::Connect(data) => data["sid"].as_str().map(str::to_owned),
            _ => None,
        });
        sid.next_back().expect("it is connected")
    }

    /// Waits for the answer to the CONNECT of this namespace, and returns its data.
    pub async fn connected(&self) -> Value {
        self.wait("the answer to the CONNECT", |packet| match &packet.kind {
            Kind::Connect(data) => Some(data.clone()),
            _ => None,
        })
        .await
    }

    /// Waits for the DISCONNECT of this namespace.
    pub async fn disconnected(&self) {
        self.wait("the DISCONNECT", |packet| (packet.kind == Kind::Disconnect).then_some(())).await;
    }

    /// Whether the server has taken the client out of this namespace for good.
    pub fn is_disconnected(&self) -> bool {
        self.transport.read();
        let packets = self.transport.packets.borrow();
        packets.iter().any(|packet| packet.namespace == self.namespace && packet.kind == Kind::Disconnect)
    }

    /// Waits until the namespace is refused, and returns the code.
    pub async fn refusal(&self) -> String {
        self.wait("the refusal", |packet| match &packet.kind {
            Kind::ConnectError(code) => Some(code.clone()),
            _ => None,
        })
        .await
    }

    /// Whether no CONNECT of any namespace was accepted or refused.
    pub fn is_unanswered(&self) -> bool {
        self.transport.read();
        let packets = self.transport.packets.borrow();
        !packets.iter().any(|packet| matches!(packet.kind, Kind::Connect(_) | Kind::ConnectError(_)))
    }

    /// Waits until the server closes the transport, and returns the reason.
    pub async fn closed(&self) -> CloseReason {
        let closing = async {
            loop {
                self.transport.read();
                if let Some(reason) = self.transport.client.outbox().closed() {
                    return reason;
                }
                self.transport.client.changed().await;
            }
        };
        tokio::time::timeout(WITHIN, closing).await.expect("the transport stays open")
    }

    /// Whether the transport is open.
    pub fn is_open(&self) -> bool {
        self.transport.client.outbox().closed().is_none()
    }

    /// Reads nothing more: this many frames fit into the client's queue.
    pub fn stall(&self, room: usize) {
        self.transport.client.outbox().stall(room);
    }

    /// Sends any packet.
    pub fn send(&self, packet: &Inbound<&str>) {
        self.transport.client.send(packet);
    }

    fn event(&self, event: &str, data: &[Value], ack: Option<i64>, parts: Option<Parts>) {
        let content: Vec<Value> = [json!(event)].into_iter().chain(data.iter().cloned()).collect();
        let content = Value::from(content).to_string();
        self.send(&Inbound::Event { namespace: &self.namespace, content: &content, ack, parts });
    }

    async fn wait<T>(&self, what: &str, is: impl Fn(&Packet) -> Option<T>) -> T {
        let waiting = async {
            loop {
                self.transport.read();
                for packet in self.transport.packets.borrow_mut().iter_mut() {
                    if packet.namespace == self.namespace
                        && !packet.taken
                        && let Some(found) = is(packet)
                    {
                        packet.taken = true;
                        return found;
                    }
                }
                assert!(
                    self.is_open(),
                    "closed while waiting for {what}: {:?}",
                    self.transport.client.outbox().closed()
                );
                tokio::select! {
                    () = self.transport.client.changed() => {}
                    () = self.transport.arrived.notified() => {}
                }
            }
        };
        let waited = tokio::time::timeout(WITHIN, waiting).await;
        waited.unwrap_or_else(|_| panic!("{} did not get {what}; it got {:?}", self.user.id, self.events()))
    }
}

impl Transport {
    fn read(&self) {
        let frames = self.client.outbox().take();
        if !frames.is_empty() {
            self.packets.borrow_mut().extend(frames.iter().map(Packet::parse));
            self.arrived.notify_waiters();
        }
    }
}
