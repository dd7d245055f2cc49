//! Servers that a test starts and breaks, each on its own port, with its data in a directory of its own. They end when
//! dropped.

use std::{
    fs::File,
    net::TcpListener as StdListener,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use jackfield_cluster::{
    Cluster, RedisSettings,
    ids::{NodeId, random_id},
    over_redis,
};
use jackfield_shared::lifecycle::Lifecycle;
use redis::{Cmd, FromRedisValue};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use xtask_kit::paths::which;

use crate::fixture::{TERMS, until};

/// A server's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `redis-server`.
    Redis,
    /// `valkey-server`, or the program that `TEST_VALKEY_SERVER` names.
    Valkey,
}

impl Program {
    /// Its path, if it is installed.
    fn path(self) -> Option<PathBuf> {
        let path = match self {
            Self::Redis => which("redis-server"),
            Self::Valkey => {
                std::env::var_os("TEST_VALKEY_SERVER").map_or_else(|| which("valkey-server"), |path| Some(path.into()))
            }
        };
        if path.is_none() {
            eprintln!("skipped: {self:?} is not installed");
        }
        path
    }

    pub fn exists(self) -> bool {
        self.path().is_some()
    }
}

pub struct Server {
    pub port: u16,
    program: Program,
    directory: TempDir,
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts it, and waits until it answers.
    pub async fn start(program: Program, arguments: &[&str]) -> Self {
        let (port, directory) = (free_port(), TempDir::new().unwrap());
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = launch(program, port, &directory, &arguments);
        let server = Self { port, program, directory, arguments, child };
        server.answers().await;
        server
    }

    /// Starts it as a replica of the server on this port.
    pub async fn replica_of(program: Program, port: u16) -> Self {
        Self::start(program, &["--replicaof", "127.0.0.1", &port.to_string()]).await
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, with its data, after [`Server::kill`].
    pub async fn start_again(&mut self) {
        self.child = launch(self.program, self.port, &self.directory, &self.arguments);
        self.answers().await;
    }

    /// Freezes it, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Runs a command over a connection of its own.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        command.query_async(&mut client.get_multiplexed_async_connection().await?).await
    }

    /// Waits until so many replicas have all its data.
    pub async fn has_replicas(&self, count: usize) {
        until("the replicas are online", || async {
            let info: String = self.ask(redis::cmd("INFO").arg("replication")).await.ok()?;
            (info.matches("state=online").count() == count).then_some(())
        })
        .await;
    }

    async fn answers(&self) {
        until("it answers", || async { self.ask::<String>(&redis::cmd("PING")).await.ok() }).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn launch(program: Program, port: u16, directory: &TempDir, arguments: &[String]) -> Child {
    let output = File::create(directory.path().join("output")).unwrap();
    Command::new(program.path().unwrap())
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--repl-diskless-sync-delay", "0"])
        .args(arguments)
        .current_dir(directory.path())
        .stdout(output)
        .spawn()
        .unwrap()
}

/// A port whose connections lead to another one, which the test can change.
pub struct Proxy {
    pub port: u16,
    route: watch::Sender<Route>,
}

#[derive(Clone, Copy)]
struct Route {
    to: u16,
    flows: bool,
}

impl Proxy {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (route, routes) = watch::channel(Route { to: port, flows: true });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if routes.has_changed().is_err() {
                    return;
                }
                let to = routes.borrow().to;
                if let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await {
                    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
                    tokio::spawn(pass(client_in, server_out, routes.clone(), to));
                    tokio::spawn(pass(server_in, client_out, routes.clone(), to));
                }
            }
        });
        Self { port: own, route }
    }

    /// Leads elsewhere. Existing connections end, and what was held back is lost.
    pub fn lead_to(&self, port: u16) {
        self.route.send_modify(|route| *route = Route { to: port, flows: true });
    }

    /// Holds everything back, or lets it flow.
    pub fn hold_back(&self, holds: bool) {
        self.route.send_modify(|route| route.flows = !holds);
    }
}

async fn pass(mut from: OwnedReadHalf, mut into: OwnedWriteHalf, mut routes: watch::Receiver<Route>, to: u16) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = elsewhere(routes.clone(), to) => return,
        };
        let Ok(length @ 1..) = read else { return };
        let Ok(route) = routes.wait_for(|route| route.flows || route.to != to).await.map(|route| *route) else {
            return;
        };
        if route.to != to || into.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn elsewhere(mut routes: watch::Receiver<Route>, to: u16) {
    // An error means that the proxy was dropped.
    let _ = routes.wait_for(|route| route.to != to).await;
}

/// A node over the server on a port. Dropping it ends its background work.
pub struct OverServer {
    pub cluster: Cluster,
    lifecycle: Lifecycle,
}

impl OverServer {
    pub fn at(port: u16) -> Self {
        let lifecycle = Lifecycle::new();
        let url = format!("redis://127.0.0.1:{port}");
        let settings = RedisSettings { url, ..RedisSettings::default() };
        let node = NodeId::from(random_id().as_str());
        let (cluster, _) = over_redis(settings.topology().unwrap(), "test", &node, TERMS, &lifecycle);
        Self { cluster, lifecycle }
    }
}

impl Drop for OverServer {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

/// Runs, and returns how long it took.
pub async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (work.await, begun.elapsed())
}
