//! The client against a scripted server.

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// Reports every callback to the test.
struct Parrot {
    heard: mpsc::Sender<String>,
}

impl Parrot {
    fn note(&self, text: String) {
        self.heard.try_send(text).unwrap();
    }
}

impl Behaviour for Parrot {
    fn connected(&mut self, node: usize, outbox: &mut Outbox) {
        self.note(format!("connected to {node}"));
        assert_eq!(outbox.emit("hello", &node), Some(0));
    }

    fn event(&mut self, name: &str, data: &str, _outbox: &mut Outbox) {
        self.note(format!("{name} {data}"));
    }

    fn ack(&mut self, number: u32, data: &str, _outbox: &mut Outbox) {
        self.note(format!("ack {number} {data}"));
    }

    fn tick(&mut self, _outbox: &mut Outbox) {}

    fn pace(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn disconnected(&mut self) {
        self.note("disconnected".into());
    }

    fn sent_away(&mut self, why: &str) {
        self.note(format!("sent away: {why}"));
    }
}

/// A client, and the listener that it connects to.
struct Meeting {
    listener: TcpListener,
    heard: mpsc::Receiver<String>,
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
    client: JoinSet<()>,
}

impl Meeting {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let counters = Arc::new(Counters::default());
        let settings = Arc::new(Settings::new(vec![address], Arc::clone(&counters)));
        let (heard, hearing) = mpsc::channel(64);
        let (commands, inbox) = mpsc::channel(4);
        let mut client = JoinSet::new();
        client.spawn(async move {
            run(settings, "secret".into(), 0, 1, &mut Parrot { heard }, inbox).await;
        });
        Self { listener, heard: hearing, commands, counters, client }
    }

    async fn tcp(&self) -> TcpStream {
        timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap().0
    }

    /// Accepts a connection, up to and including the client's CONNECT.
    async fn accept(&self, patience_ms: u64) -> WebSocketStream<TcpStream> {
        let mut socket = accept_async(self.tcp().await).await.unwrap();
        say(&mut socket, &format!(r#"0{{"sid":"s","pingInterval":{patience_ms},"pingTimeout":0,"upgrades":[]}}"#))
            .await;
        assert_eq!(next(&mut socket).await, r#"40{"token":"secret"}"#);
        socket
    }

    async fn heard(&mut self) -> String {
        timeout(LIMIT, self.heard.recv()).await.unwrap().unwrap()
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text.to_owned())).await.unwrap();
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> String {
    let frame = timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    frame.into_text().unwrap().to_string()
}

#[tokio::test]
async fn connects_answers_pings_and_hears_events_and_acks() {
    let mut meeting = Meeting::new().await;
    let mut socket = meeting.accept(60_000).await;
    say(&mut socket, r#"40{"sid":"x"}"#).await;
    assert_eq!(next(&mut socket).await, r#"420["hello",0]"#);
    say(&mut socket, "2").await;
    assert_eq!(next(&mut socket).await, "3");
    say(&mut socket, r#"42["news",1,2]"#).await;
    say(&mut socket, r#"430[{"status":"ok"}]"#).await;
    for expected in ["connected to 0", r#"news ["news",1,2]"#, r#"ack 0 [{"status":"ok"}]"#] {
        assert_eq!(meeting.heard().await, expected);
    }
}

#[tokio::test]
async fn comes_back_when_the_transport_closes() {
    let mut meeting = Meeting::new().await;
    for _ in 0..2 {
        let mut socket = meeting.accept(60_000).await;
        say(&mut socket, "40{}").await;
        assert_eq!(meeting.heard().await, "connected to 0");
        drop(socket);
        assert_eq!(meeting.heard().await, "disconnected");
    }
}

#[tokio::test]
async fn comes_back_after_a_refused_handshake() {
    let meeting = Meeting::new().await;
    let mut stream = meeting.tcp().await;
    let mut request = [0; 1_024];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    let refusal = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(refusal.as_bytes()).await.unwrap();
    meeting.accept(60_000).await;
    assert_eq!(meeting.counters.failed_handshakes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn gives_a_silent_server_up() {
    let mut meeting = Meeting::new().await;
    let mut socket = meeting.accept(200).await;
    say(&mut socket, "40{}").await;
    assert_eq!(meeting.heard().await, "connected to 0");
    assert_eq!(meeting.heard().await, "disconnected");
    meeting.accept(60_000).await;
    assert_eq!(meeting.counters.silent.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn never_comes_back_after_connect_error_or_disconnect() {
    for (packet, why) in [(r#"44{"message":"invalid_token"}"#, "CONNECT_ERROR invalid_token"), ("41", "DISCONNECT")] {
        let mut meeting = Meeting::new().await;
        let mut socket = meeting.accept(60_000).await;
        say(&mut socket, packet).await;
        assert_eq!(meeting.heard().await, format!("sent away: {why}"));
        timeout(LIMIT, meeting.client.join_next()).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_unplugged_client_is_gone_without_a_word_and_comes_back() {
    let mut meeting = Meeting::new().await;
    let mut socket = meeting.accept(60_000).await;
    say(&mut socket, "40{}").await;
    assert_eq!(meeting.heard().await, "connected to 0");
    assert_eq!(next(&mut socket).await, r#"420["hello",0]"#);
    meeting.commands.send(Command::Unplug(Duration::from_millis(1))).await.unwrap();
    let end = timeout(LIMIT, socket.next()).await.unwrap();
    assert!(!matches!(end, Some(Ok(Message::Close(_) | Message::Text(_)))), "{end:?}");
    assert_eq!(meeting.heard().await, "disconnected");
    meeting.accept(60_000).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_reads_on_when_it_is_told() {
    let mut meeting = Meeting::new().await;
    let mut socket = meeting.accept(60_000).await;
    say(&mut socket, "40{}").await;
    assert_eq!(meeting.heard().await, "connected to 0");
    assert_eq!(next(&mut socket).await, r#"420["hello",0]"#);
    meeting.commands.send(Command::StopReading).await.unwrap();
    // The client stops reading once it has taken the command out of its channel.
    while meeting.commands.capacity() < meeting.commands.max_capacity() {
        tokio::task::yield_now().await;
    }
    say(&mut socket, r#"42["late"]"#).await;
    let early = timeout(Duration::from_millis(100), meeting.heard.recv()).await;
    assert!(early.is_err(), "{early:?}");
    meeting.commands.send(Command::ReadAgain).await.unwrap();
    assert_eq!(meeting.heard().await, r#"late ["late"]"#);
}
