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
struct Recorder {
    received: mpsc::Sender<String>,
}

impl Recorder {
    fn record(&self, text: String) {
        self.received.try_send(text).unwrap();
    }
}

impl Handler for Recorder {
    fn connected(&mut self, recovered: bool, outbox: &mut Outbox) {
        self.record(if recovered { "recovered" } else { "connected" }.into());
        assert_eq!(outbox.emit("hello", &0), Some(0));
    }

    fn event(&mut self, name: &str, data: &str, _outbox: &mut Outbox) {
        self.record(format!("{name} {data}"));
    }

    fn ack(&mut self, number: u32, data: &str, _outbox: &mut Outbox) {
        self.record(format!("ack {number} {data}"));
    }

    fn tick(&mut self, _outbox: &mut Outbox) {}

    fn pace(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn disconnected(&mut self) -> bool {
        self.record("disconnected".into());
        true
    }

    fn rejected(&mut self, why: &str) {
        self.record(format!("rejected: {why}"));
    }
}

/// A client, and the listener that it connects to.
struct Fixture {
    listener: TcpListener,
    received: mpsc::Receiver<String>,
    commands: mpsc::Sender<Command>,
    figures: Arc<Mutex<Figures>>,
    client: JoinSet<()>,
}

impl Fixture {
    async fn new() -> Self {
        Self::of(false).await
    }

    async fn of(recovers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nodes = vec![listener.local_addr().unwrap().to_string()];
        let figures: Arc<Mutex<Figures>> = Arc::default();
        let settings = Settings { nodes, receive_buffer: None, recovers, figures: Arc::clone(&figures) };
        let (received, receiver) = mpsc::channel(64);
        let (commands, inbox) = mpsc::channel(4);
        let mut client = JoinSet::new();
        client.spawn(async move {
            run(settings, "secret".into(), 0, 1, &mut Recorder { received }, inbox).await;
        });
        Self { listener, received: receiver, commands, figures, client }
    }

    async fn tcp(&self) -> TcpStream {
        timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap().0
    }

    /// Accepts a connection, up to and including the client's CONNECT.
    async fn accept(&self, patience_ms: u64) -> WebSocketStream<TcpStream> {
        self.accept_with(patience_ms, r#"{"token":"secret"}"#).await
    }

    /// As [`Fixture::accept`], with this payload of the CONNECT.
    async fn accept_with(&self, patience_ms: u64, auth: &str) -> WebSocketStream<TcpStream> {
        let mut socket = accept_async(self.tcp().await).await.unwrap();
        send(&mut socket, &format!(r#"0{{"sid":"s","pingInterval":{patience_ms},"pingTimeout":0,"upgrades":[]}}"#))
            .await;
        assert_eq!(next(&mut socket).await, format!("40{auth}"));
        socket
    }

    async fn received(&mut self) -> String {
        timeout(LIMIT, self.received.recv()).await.unwrap().unwrap()
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text.to_owned())).await.unwrap();
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> String {
    let frame = timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    frame.into_text().unwrap().to_string()
}

#[tokio::test]
async fn connects_answers_pings_and_receives_events_and_acks() {
    let mut fixture = Fixture::new().await;
    let mut socket = fixture.accept(60_000).await;
    send(&mut socket, r#"40{"sid":"x"}"#).await;
    assert_eq!(next(&mut socket).await, r#"420["hello",0]"#);
    send(&mut socket, "2").await;
    assert_eq!(next(&mut socket).await, "3");
    send(&mut socket, r#"42["news",1,2]"#).await;
    send(&mut socket, r#"430[{"status":"ok"}]"#).await;
    for expected in ["connected", r#"news ["news",1,2]"#, r#"ack 0 [{"status":"ok"}]"#] {
        assert_eq!(fixture.received().await, expected);
    }
}

#[tokio::test]
async fn reconnects_when_the_transport_closes() {
    let mut fixture = Fixture::new().await;
    for _ in 0..2 {
        let mut socket = fixture.accept(60_000).await;
        send(&mut socket, "40{}").await;
        assert_eq!(fixture.received().await, "connected");
        drop(socket);
        assert_eq!(fixture.received().await, "disconnected");
    }
}

#[tokio::test]
async fn comes_back_with_the_last_pid_and_offset() {
    let mut fixture = Fixture::of(true).await;
    let asks = r#"{"recover":true,"token":"secret"}"#;
    let comes_back = r#"{"offset":"o2","pid":"p","recover":true,"token":"secret"}"#;
    for (auth, pid, expected) in
        [(asks, "p", "connected"), (comes_back, "p", "recovered"), (comes_back, "q", "connected")]
    {
        let mut socket = fixture.accept_with(60_000, auth).await;
        send(&mut socket, &format!(r#"40{{"sid":"s","pid":"{pid}"}}"#)).await;
        assert_eq!(fixture.received().await, expected);
        for event in [r#"42["a",1,"o1"]"#, r#"42["a",1,"o2"]"#, r#"42["a",1]"#] {
            send(&mut socket, event).await;
            fixture.received().await;
        }
        drop(socket);
        assert_eq!(fixture.received().await, "disconnected");
    }
}

#[tokio::test]
async fn reconnects_after_a_refused_handshake() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.tcp().await;
    let mut request = [0; 1_024];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    let refusal = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(refusal.as_bytes()).await.unwrap();
    fixture.accept(60_000).await;
    assert_eq!(fixture.figures.lock().failed_handshakes, 1);
}

#[tokio::test]
async fn gives_up_on_a_silent_server() {
    let mut fixture = Fixture::new().await;
    let mut socket = fixture.accept(200).await;
    send(&mut socket, "40{}").await;
    assert_eq!(fixture.received().await, "connected");
    assert_eq!(fixture.received().await, "disconnected");
    fixture.accept(60_000).await;
    assert_eq!(fixture.figures.lock().silent_servers, 1);
}

#[tokio::test]
async fn never_reconnects_after_connect_error_or_disconnect() {
    for (packet, why) in [(r#"44{"message":"invalid_token"}"#, "CONNECT_ERROR invalid_token"), ("41", "DISCONNECT")] {
        let mut fixture = Fixture::new().await;
        let mut socket = fixture.accept(60_000).await;
        send(&mut socket, packet).await;
        assert_eq!(fixture.received().await, format!("rejected: {why}"));
        timeout(LIMIT, fixture.client.join_next()).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_unplugged_client_disconnects_without_a_close_frame_and_reconnects() {
    let mut fixture = Fixture::new().await;
    let mut socket = fixture.accept(60_000).await;
    send(&mut socket, "40{}").await;
    assert_eq!(fixture.received().await, "connected");
    assert_eq!(next(&mut socket).await, r#"420["hello",0]"#);
    fixture.commands.send(Command::Unplug(Duration::from_millis(1))).await.unwrap();
    let end = timeout(LIMIT, socket.next()).await.unwrap();
    assert!(!matches!(end, Some(Ok(Message::Close(_) | Message::Text(_)))), "{end:?}");
    assert_eq!(fixture.received().await, "disconnected");
    fixture.accept(60_000).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_resumes_on_command() {
    let mut fixture = Fixture::new().await;
    let mut socket = fixture.accept(60_000).await;
    send(&mut socket, "40{}").await;
    assert_eq!(fixture.received().await, "connected");
    assert_eq!(next(&mut socket).await, r#"420["hello",0]"#);
    fixture.commands.send(Command::StopReading).await.unwrap();
    // The client stops reading once it has taken the command out of its channel.
    while fixture.commands.capacity() < fixture.commands.max_capacity() {
        tokio::task::yield_now().await;
    }
    send(&mut socket, r#"42["late"]"#).await;
    let early = timeout(Duration::from_millis(100), fixture.received.recv()).await;
    assert!(early.is_err(), "{early:?}");
    fixture.commands.send(Command::ReadAgain).await.unwrap();
    assert_eq!(fixture.received().await, r#"late ["late"]"#);
}
