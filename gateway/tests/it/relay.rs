//! Polls and upgrades that reach another node than the one that has the connection: real sockets, a memory cluster.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::{Method, Request, header::CONTENT_LENGTH};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jackfield_cluster::MemoryCluster;
use jackfield_gateway::{Gateway, settings::GatewaySettings};
use jackfield_shared::{
    lifecycle::Lifecycle,
    settings::{Sources, load},
    verify::KeySource,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::harness::{SECRET, User};

/// For something that must happen.
const WITHIN: Duration = Duration::from_secs(20);
/// The answer to a poll of a connection that does not exist.
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

struct Node {
    public: SocketAddr,
    internal: SocketAddr,
    lifecycle: Lifecycle,
}

/// Nodes on ports of their own. Dropping them ends them.
struct Nodes {
    nodes: Vec<Node>,
    client: Client<HttpConnector, Body>,
}

impl Nodes {
    async fn start(count: usize) -> Self {
        Self::with(count, &[]).await
    }

    async fn with(count: usize, set: &[&str]) -> Self {
        let memory = MemoryCluster::new(settings(set).terms());
        let mut nodes = Vec::new();
        for _ in 0..count {
            let (public, internal) = (listener().await, listener().await);
            let at = format!("node.address={}", internal.local_addr().unwrap());
            nodes.push(Node::start(&memory, &[set, &[at.as_str()]].concat(), public, internal).await);
        }
        Self { nodes, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    async fn request(&self, method: Method, at: SocketAddr, target: &str, pass: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{at}{target}"))
            .header(CONTENT_LENGTH, body.len())
            .header("x-jackfield-pass", pass);
        let request = self.client.request(request.body(Body::from(body.to_owned())).unwrap());
        let answer = in_time(target, request).await.unwrap();
        let status = answer.status().as_u16();
        let body = in_time(target, answer.into_body().collect()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The id of a new polling connection.
    async fn open(&self, node: usize) -> String {
        let target = "/socket.io/?EIO=4&transport=polling";
        let (status, open) = self.request(Method::GET, self.nodes[node].public, target, "", "").await;
        assert_eq!(status, 200, "{open}");
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        open["sid"].as_str().unwrap().to_owned()
    }

    async fn poll(&self, node: usize, sid: &str) -> (u16, String) {
        self.request(Method::GET, self.nodes[node].public, &polling(sid), "", "").await
    }

    async fn send(&self, node: usize, sid: &str, packets: &str) -> (u16, String) {
        self.request(Method::POST, self.nodes[node].public, &polling(sid), "", packets).await
    }

    /// A connection in the main namespace whose requests reach the nodes in turn.
    async fn connected(&self) -> String {
        let sid = self.open(0).await;
        let connect = format!("40{{\"token\":\"{}\"}}", User::new("ana").token());
        assert_eq!(self.send(1, &sid, &connect).await, (200, "ok".to_owned()));
        let mut seen = String::new();
        while !seen.contains("40{") {
            let (status, packets) = self.poll(1, &sid).await;
            assert_eq!(status, 200, "{packets}");
            seen += &packets;
        }
        sid
    }

    /// Polls until the connection's queue is empty and a poll hangs, through this node.
    async fn hanging(&self, node: usize, sid: &str) -> TcpStream {
        loop {
            let mut poll = self.begin_poll(node, sid).await;
            let mut first = [0; 1];
            match tokio::time::timeout(Duration::from_millis(300), poll.read(&mut first)).await {
                Err(_) => return poll,
                Ok(read) => assert_eq!(read.unwrap(), 1),
            }
            poll.read_to_end(&mut Vec::new()).await.unwrap();
        }
    }

    async fn begin_poll(&self, node: usize, sid: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.nodes[node].public).await.unwrap();
        let head = format!("GET {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", polling(sid));
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until the connection is unknown everywhere.
    async fn ends(&self, sid: &str) {
        let ended = async {
            while self.send(0, sid, "3").await.0 == 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        in_time("the connection ends", ended).await;
    }
}

impl Node {
    async fn start(memory: &MemoryCluster, set: &[&str], public: TcpListener, internal: TcpListener) -> Self {
        let lifecycle = Lifecycle::new();
        let keys = KeySource::Secret(SECRET.to_owned());
        let gateway = Gateway::build_in(memory, settings(set), keys, &lifecycle).unwrap();
        let node = Self {
            public: public.local_addr().unwrap(),
            internal: internal.local_addr().unwrap(),
            lifecycle: lifecycle.clone(),
        };
        let ready = async {
            while !gateway.readiness().is_ready() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        in_time("the node is ready", ready).await;
        lifecycle.spawn(async move {
            let (outside, inside) = (gateway.router(), gateway.internal_router());
            tokio::join!(gateway.serve_public(public, outside), gateway.serve_internal(internal, inside));
        });
        node
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.lifecycle.stop();
        }
    }
}

fn settings(set: &[&str]) -> GatewaySettings {
    let overrides = set.iter().map(|set| (*set).to_owned()).collect();
    load(&Sources { overrides, ..Sources::default() }).unwrap()
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

fn polling(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}

fn unknown() -> (u16, String) {
    (400, UNKNOWN.to_owned())
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WITHIN, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A masked text message.
fn text(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[tokio::test]
async fn a_connection_works_through_every_node() {
    let nodes = Nodes::start(3).await;
    let sid = nodes.connected().await;
    assert_eq!(nodes.send(2, &sid, "421[\"message\",{\"message\":\"hello\"}]").await, (200, "ok".to_owned()));
    let mut seen = String::new();
    for node in [1, 2, 0].into_iter().cycle() {
        let (status, packets) = nodes.poll(node, &sid).await;
        assert_eq!(status, 200, "{packets}");
        seen += &packets;
        if seen.contains("431[") {
            return;
        }
    }
}

#[tokio::test]
async fn a_poll_that_is_repeated_through_another_node_ends_the_connection() {
    let nodes = Nodes::start(3).await;
    let sid = nodes.connected().await;
    nodes.send(0, &sid, "421[\"message\",{\"message\":\"hello\"}]").await;
    let poll = async |node: usize, stamp: &str| {
        let target = format!("{}&t={stamp}", polling(&sid));
        nodes.request(Method::GET, nodes.nodes[node].public, &target, "", "").await
    };
    assert_eq!(poll(1, "a%2Fb").await.0, 200);
    assert_eq!(poll(2, "a%2Fb").await, unknown());
    nodes.ends(&sid).await;
}

#[tokio::test]
async fn ids_that_no_node_made_are_refused_without_asking_a_node() {
    let nodes = Nodes::start(2).await;
    let sid = nodes.open(0).await;
    let (tag, rest) = sid.split_once('.').unwrap();
    let (named, mac) = sid.rsplit_once('.').unwrap();
    let hostile = listener().await;
    let host = hostile.local_addr().unwrap();
    for forged in [
        format!("{}.{rest}", tag.chars().rev().collect::<String>()),
        format!("{host}.{rest}"),
        format!("{tag}.{}", &rest[1..]),
        format!("{named}.{}", mac.chars().rev().collect::<String>()),
        named.to_owned(),
        "AAAAAAAAAAAAAAAAAAAA".to_owned(),
        "x".repeat(3_000),
        String::new(),
    ] {
        for node in 0..2 {
            assert_eq!(nodes.poll(node, &forged).await, unknown(), "{forged}");
            assert_eq!(nodes.send(node, &forged, "3").await, unknown(), "{forged}");
        }
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), hostile.accept()).await;
    assert!(nobody.is_err(), "no id leads to an address");
    assert_eq!(nodes.send(1, &sid, "3").await.0, 200, "the connection goes on");
}

#[tokio::test]
async fn only_nodes_may_pass_on_a_request() {
    let nodes = Nodes::start(2).await;
    let sid = nodes.open(0).await;
    let (of_owner, route) = (nodes.nodes[0].internal, format!("/relay?EIO=4&transport=polling&sid={sid}"));
    let mac = sid.rsplit_once('.').unwrap().1;
    for pass in ["", mac, "AAAAAAAAAAAA"] {
        for method in [Method::POST, Method::GET, Method::DELETE] {
            assert_eq!(nodes.request(method, of_owner, &route, pass, "").await, unknown(), "{pass}");
        }
    }
    let (status, _) = nodes.request(Method::POST, nodes.nodes[0].public, &route, mac, "3").await;
    assert_eq!(status, 404, "the route is not on the public port");
    let public = nodes.request(Method::POST, nodes.nodes[1].public, &polling(&sid), "AAAAAAAAAAAA", "3").await;
    assert_eq!(public, (200, "ok".to_owned()), "the header means nothing on the public port");
}

#[tokio::test]
async fn a_poll_that_the_client_gives_up_ends_at_the_owner() {
    let nodes = Nodes::start(2).await;
    let sid = nodes.connected().await;
    let poll = nodes.hanging(1, &sid).await;
    assert_eq!(nodes.send(0, &sid, "3").await.0, 200);
    drop(poll);
    nodes.ends(&sid).await;
}

#[tokio::test]
async fn a_connection_that_ends_ends_the_poll_that_was_passed_on() {
    let nodes = Nodes::start(2).await;
    let sid = nodes.connected().await;
    let mut poll = nodes.hanging(1, &sid).await;
    assert_eq!(nodes.send(0, &sid, "1").await.0, 200);
    let mut answer = String::new();
    in_time("the poll ends", poll.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(nodes.poll(1, &sid).await, unknown());
}

#[tokio::test]
async fn polls_for_a_node_that_has_gone_are_answered_at_once() {
    let nodes = Nodes::start(2).await;
    let sid = nodes.connected().await;
    nodes.nodes[0].lifecycle.stop();
    let gone = async {
        while nodes.poll(1, &sid).await != unknown() {
            tokio::task::yield_now().await;
        }
    };
    in_time("the owner has gone", gone).await;
}

#[tokio::test]
async fn polls_for_a_node_that_hangs_are_answered_once_its_lease_is_over() {
    let memory = MemoryCluster::new(settings(&["presence.lease=1s"]).terms());
    // Accepts connections, and never answers.
    let hangs = listener().await;
    let at = format!("node.address={}", hangs.local_addr().unwrap());
    let mut nodes = Vec::new();
    for set in [at.as_str(), "node.address=127.0.0.1:1"] {
        nodes.push(Node::start(&memory, &["presence.lease=1s", set], listener().await, listener().await).await);
    }
    let nodes = Nodes { nodes, client: Client::builder(TokioExecutor::new()).build_http() };
    let sid = nodes.open(0).await;
    let waiting = nodes.poll(1, &sid);
    let freezes = async {
        hangs.accept().await.unwrap();
        nodes.nodes[0].lifecycle.stop();
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = waiting => answer,
        () = freezes => unreachable!(),
    };
    assert_eq!(answer, unknown());
}

#[tokio::test]
async fn an_upgrade_works_through_another_node() {
    let nodes = Nodes::start(2).await;
    let sid = nodes.connected().await;
    let mut socket = TcpStream::connect(nodes.nodes[1].public).await.unwrap();
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(&[head.as_bytes(), &text("2probe")].concat()).await.unwrap();
    let mut seen = Vec::new();
    until(&mut socket, &mut seen, b"\x81\x063probe").await;
    let head = String::from_utf8_lossy(&seen).into_owned();
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    socket.write_all(&text("5")).await.unwrap();
    let event = text("427[\"message\",{\"message\":\"hello\"}]");
    socket.write_all(&event).await.unwrap();
    until(&mut socket, &mut seen, b"437[").await;
    assert_eq!(nodes.poll(0, &sid).await, unknown(), "it no longer polls");
    drop(socket);
}

#[tokio::test]
async fn an_upgrade_with_an_id_that_no_node_made_is_refused() {
    let nodes = Nodes::start(1).await;
    let mut socket = TcpStream::connect(nodes.nodes[0].public).await.unwrap();
    let head = "GET /socket.io/?EIO=4&transport=websocket&sid=a.b.c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    until(&mut socket, &mut seen, UNKNOWN.as_bytes()).await;
    assert!(seen.starts_with(b"HTTP/1.1 400"));
}

#[tokio::test]
async fn a_node_that_shuts_down_ends_no_connection_of_others() {
    let nodes = Nodes::start(3).await;
    let sid = nodes.connected().await;
    let mut poll = nodes.hanging(1, &sid).await;
    nodes.nodes[1].lifecycle.leave();
    let mut answer = String::new();
    in_time("the poll ends", poll.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n6"), "{answer}");
    assert_eq!(nodes.send(2, &sid, "3").await, (200, "ok".to_owned()));
}

/// Reads until this has arrived.
async fn until(socket: &mut TcpStream, seen: &mut Vec<u8>, wanted: &[u8]) {
    let reading = async {
        while !seen.windows(wanted.len()).any(|bytes| bytes == wanted) {
            assert!(socket.read_buf(seen).await.unwrap() > 0, "{}", String::from_utf8_lossy(seen));
        }
    };
    in_time(&String::from_utf8_lossy(wanted), reading).await;
}
