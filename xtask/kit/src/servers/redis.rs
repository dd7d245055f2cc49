//! Redis servers of our own: on loopback, with append-only files, data in the run's folder.
//!
//! - [`Redis`]: one server process, started, stopped and restarted; [`client`]: commands to it
//! - [`topology`]: one or several of them together, as people run Redis; [`sentinel`], [`cluster`] and [`slots`] are what
//!   is particular to two of them, [`tls`] the certificates and the users of all of them if they speak TLS
//!
//! A server that was killed loses nothing that it acknowledged: it writes the append-only file before it answers, and
//! the operating system survives it.

pub mod client;
mod cluster;
mod sentinel;
mod slots;
mod tls;
pub mod topology;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{
    paths,
    process::{Server, Spec},
    workdir::Workdir,
};
use client::{Connection, Endpoint, Reply};
use tls::Tls;

/// One server to start.
struct Config<'a> {
    /// Name of its process, its folder and its log.
    name: &'a str,
    /// `redis-server`, or another one with the same options.
    program: &'a str,
    port: u16,
    /// Password of its default user.
    password: Option<&'a str>,
    /// Further lines of its configuration file.
    lines: Vec<String>,
    /// Its port speaks TLS only: commands then go over a Unix socket.
    tls: Option<&'a Tls>,
    /// Started as `--sentinel`.
    sentinel: bool,
}

/// A server process: started, or stopped with its data kept.
pub struct Redis {
    spec: Spec,
    /// On loopback.
    pub port: u16,
    data: PathBuf,
    endpoint: Endpoint,
    password: Option<String>,
    /// Its process, of the last start.
    pub server: Server,
}

impl Redis {
    /// Starts a plain one and waits until it answers.
    pub async fn start(workdir: &Workdir, port: u16) -> Result<Self> {
        Self::start_as(workdir, Config::of("redis", port, None)).await
    }

    /// Starts one of several, with a folder of this name.
    pub async fn start_named(workdir: &Workdir, name: &str, port: u16) -> Result<Self> {
        Self::start_as(workdir, Config::of(name, port, None)).await
    }

    /// Starts it and waits until it answers. The configuration is a file: Sentinel writes changes into it.
    async fn start_as(workdir: &Workdir, config: Config<'_>) -> Result<Self> {
        let Config { name, program, port, password, lines, tls, sentinel } = config;
        let found = paths::which(program);
        let program = found.with_context(|| format!("{program} is not installed; `cargo xtask install`"))?;
        let folder = workdir.folder(name)?;
        let (data, file, socket) = (folder.join("data"), folder.join("redis.conf"), folder.join("socket"));
        fs::create_dir(&data)?;
        let mut text = format!("bind 127.0.0.1\ndir {}\n", data.display());
        if tls.is_some() {
            text += &format!("port 0\ntls-port {port}\nunixsocket {}\n", socket.display());
        } else {
            text += &format!("port {port}\n");
        }
        if !sentinel {
            text += "save \"\"\nappendonly yes\n";
        }
        if let Some(tls) = tls {
            text += &tls.lines(sentinel)?;
        }
        if let Some(password) = password {
            text += &format!("requirepass {password}\n");
        }
        fs::write(&file, text + &lines.join("\n") + "\n")?;
        let spec = Spec::new(name, program, &workdir.logs).args([&file]).args(sentinel.then_some("--sentinel"));
        let server = spec.start()?;
        let endpoint = if tls.is_some() { Endpoint::Unix(socket) } else { Endpoint::Tcp(port) };
        let mut redis = Self { spec, port, data, endpoint, password: password.map(str::to_owned), server };
        redis.until_it_answers().await?;
        Ok(redis)
    }

    /// Name of the process.
    pub fn name(&self) -> &str {
        &self.server.name
    }

    /// `redis://…`, of a server without login and TLS.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Its URL for its administrator.
    fn direct(&self) -> String {
        let password = self.password.as_deref().unwrap_or_default();
        match &self.endpoint {
            Endpoint::Unix(path) => format!("redis+unix://{}?pass={password}", path.display()),
            Endpoint::Tcp(port) => format!("redis://{}127.0.0.1:{port}", login(password)),
        }
    }

    /// Whether its process runs, frozen or not.
    pub fn runs(&mut self) -> bool {
        self.server.exit_status().is_none()
    }

    /// Ends it, its data kept on disk.
    pub async fn stop(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.runs(), "{} is not running", self.name());
        self.server.stop(signal, Duration::from_secs(10)).await;
        Ok(())
    }

    /// Starts it again on its old port, with its data or empty. A server of a Redis Cluster remembers the others.
    pub async fn restart(&mut self, empty: bool) -> Result<u32> {
        ensure!(!self.runs(), "{} is running (pid {})", self.name(), self.server.pid);
        if empty {
            fs::remove_dir_all(&self.data)?;
            fs::create_dir(&self.data)?;
        }
        self.server = self.spec.start()?;
        self.until_it_answers().await?;
        Ok(self.server.pid)
    }

    /// A connection to it, logged in.
    pub async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.endpoint, self.password.as_deref()).await.with_context(|| self.name().to_owned())
    }

    /// Sends one command, on a connection of its own.
    pub async fn ask(&self, command: &[&str]) -> Result<Reply> {
        self.connect().await?.ask(command).await.with_context(|| self.name().to_owned())
    }

    /// One line of its INFO.
    pub async fn info(&self, section: &str, name: &str) -> Result<String> {
        let info = self.ask(&["INFO", section]).await?.text();
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("no {name} in INFO"))?.to_owned())
    }

    /// Closes its connections of that type: `normal` or `pubsub`.
    pub async fn kill_connections(&self, of: &str) -> Result<()> {
        self.ask(&["CLIENT", "KILL", "TYPE", of]).await.map(drop)
    }

    /// A server that loads its data answers with an error until it is done.
    async fn until_it_answers(&mut self) -> Result<()> {
        let (endpoint, password) = (self.endpoint.clone(), self.password.clone());
        let answers = || async {
            let mut connection = Connection::open(&endpoint, password.as_deref()).await?;
            connection.ask(&["PING"]).await.map(drop)
        };
        self.server.until_ready(answers).await
    }
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// A URL's part for the password of the default user.
fn login(password: &str) -> String {
    if password.is_empty() { String::new() } else { format!(":{password}@") }
}

impl<'a> Config<'a> {
    /// A Redis that knows no other. It has a password if it speaks TLS.
    fn of(name: &'a str, port: u16, tls: Option<&'a Tls>) -> Self {
        let (program, password) = ("redis-server", tls.map(|_| tls::ADMINISTRATOR));
        Self { name, program, port, password, lines: Vec::new(), tls, sentinel: false }
    }
}
