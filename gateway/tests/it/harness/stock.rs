//! Clients that ask for recovery, and the knowledge with which they come back.

use jackfield_engine::Inbound;
use serde_json::{Value, json};

use super::{Client, TestCluster, User};

/// The knowledge of a stock client.
#[derive(Debug, Clone)]
pub struct Stock {
    pub user: User,
    pub pid: Value,
    pub offset: Option<String>,
    pub id: String,
}

/// Connects in a namespace with this `auth`, besides the token. Returns the client, and the answer to its CONNECT.
pub async fn connect(
    cluster: &TestCluster,
    node: usize,
    user: &User,
    namespace: &str,
    auth: &Value,
) -> (Client, Value) {
    let client = Client::new(cluster.transport(node, None), user.clone()).at(namespace);
    connect_also(client, namespace, auth).await
}

pub async fn connect_also(client: Client, namespace: &str, auth: &Value) -> (Client, Value) {
    let client = client.at(namespace);
    let mut auth = auth.clone();
    auth["token"] = client.user.token().into();
    client.send(&Inbound::Connect { namespace, auth: Some(&auth.to_string()) });
    let connected = client.connected().await;
    client.next("authenticated").await;
    (client, connected)
}

/// The last offset among these events, as a stock client takes it: the last argument if that is text.
pub fn offset_of(events: &[(String, Vec<Value>)]) -> Option<String> {
    events.iter().filter_map(|(_, data)| data.last()?.as_str().map(str::to_owned)).next_back()
}

impl Stock {
    pub async fn new(cluster: &TestCluster, node: usize, user: &str) -> (Client, Self) {
        let user = User::new(user);
        let (client, connected) = connect(cluster, node, &user, "/", &json!({ "recover": true })).await;
        let stock = Self { user, pid: connected["pid"].clone(), offset: None, id: client.id() };
        assert!(stock.pid.is_string(), "{connected}");
        (client, stock)
    }

    /// Has handled everything that the client got.
    pub fn handled(&mut self, client: &Client) {
        self.offset = offset_of(&client.events()).or(self.offset.take());
    }

    /// Comes back, and says whether it was recovered.
    pub async fn back(&self, cluster: &TestCluster, node: usize) -> (Client, bool) {
        let auth = json!({ "recover": true, "pid": self.pid, "offset": self.offset });
        let (client, connected) = connect(cluster, node, &self.user, "/", &auth).await;
        let is_recovered = connected["pid"] == self.pid;
        assert_eq!(is_recovered, connected["sid"] == *self.id, "{connected}");
        assert!(connected["pid"].is_string());
        cluster.quiet().await;
        (client, is_recovered)
    }
}

/// The contents of a room's messages that came live.
pub fn live(client: &Client, room: &str) -> Vec<String> {
    let messages = client.all("new-message").into_iter().filter(|message| message["room"] == room);
    messages.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

pub fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A client in a room, which has handled one message and missed another.
pub async fn missing_one(cluster: &TestCluster, user: &str) -> (Client, Client, Stock) {
    let sender = cluster.client_on(0, "sender").await;
    let (client, mut stock) = Stock::new(cluster, 0, user).await;
    for client in [&client, &sender] {
        client.enter("r", None).await;
    }
    sender.send_to("r", "0").await;
    cluster.quiet().await;
    stock.handled(&client);
    (sender, client, stock)
}
