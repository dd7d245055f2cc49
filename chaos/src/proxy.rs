//! A TCP proxy for one server, whose link can be cut and restored.
//!
//! Guarantees: bytes are never lost or reordered while a connection lives; at most [`CONNECTIONS`] connections, each
//! with a small buffer per direction. It changes nothing but the addresses of servers that have links, too: [`rewrite`].
//!
//! [`rewrite`]: super::rewrite

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::rewrite::Rewriter;

const CONNECTIONS: usize = 256;
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time that the possible beginning of an address waits for its rest.
const HELD: Duration = Duration::from_millis(20);

/// The port of each server's link.
pub type Ports = Arc<HashMap<u16, u16>>;

/// State of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Bytes pass.
    Whole,
    /// Connections stay open and new ones are accepted, but no bytes pass, as if a switch had lost its power.
    Silent,
    /// Connections are closed, and new ones are closed at once, as if the server had gone.
    Closed,
}

/// A running link; dropping it ends it.
pub struct Proxy {
    /// Port that it listens on, on loopback.
    pub port: u16,
    link: watch::Sender<Link>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Listens on that port (0: any) and forwards to the other. Clients are told of the links of other servers instead of
    /// their own addresses.
    pub async fn start(port: u16, to: u16, links: Ports) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let (link, state) = watch::channel(Link::Whole);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, to, links, state));
        Ok(Self { port, link, _accepting: accepting })
    }

    /// Cuts or restores the link, from this moment on.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

async fn accept(listener: TcpListener, to: u16, links: Ports, state: watch::Receiver<Link>) {
    let mut carried = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = carried.join_next() => continue,
        };
        // Out of file descriptors, or the connection is already gone: pause, then accept the next one.
        let Ok((client, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let refused = *state.borrow() == Link::Closed || carried.len() >= CONNECTIONS;
        if !refused {
            carried.spawn(carry(client, to, Arc::clone(&links), state.clone()));
        }
    }
}

async fn carry(mut client: TcpStream, to: u16, links: Ports, mut state: watch::Receiver<Link>) -> Result<()> {
    let mut server = timeout(CONNECT, TcpStream::connect(("127.0.0.1", to))).await??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let there = copy(&mut from_client, &mut to_server);
    let back = answers(&mut from_server, &mut to_client, &links);
    tokio::pin!(there, back);
    loop {
        let link = *state.borrow_and_update();
        if link == Link::Closed {
            return Ok(());
        }
        tokio::select! {
            // A cut comes first. While the link is silent nothing is copied: bytes wait until it is restored.
            biased;
            changed = state.changed() => changed?,
            // When either direction ends, for whatever reason, the connection is over.
            _ = &mut there, if link == Link::Whole => return Ok(()),
            _ = &mut back, if link == Link::Whole => return Ok(()),
        }
    }
}

/// Passes on what the server sends, until it ends.
async fn answers(server: &mut ReadHalf<'_>, client: &mut WriteHalf<'_>, links: &HashMap<u16, u16>) -> Result<()> {
    if links.is_empty() {
        copy(server, client).await?;
        return Ok(());
    }
    let (mut rewriter, mut buffer) = (Rewriter::new(links), vec![0; 16 * 1024]);
    loop {
        let limit = if rewriter.holds() { HELD } else { Duration::MAX };
        let bytes = match timeout(limit, server.read(&mut buffer)).await {
            Ok(count) => match count? {
                0 => return Ok(()),
                count => rewriter.feed(&buffer[..count]),
            },
            Err(_) => rewriter.flush(),
        };
        client.write_all(&bytes).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// An echo server.
    async fn echo() -> (u16, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        (port, tasks)
    }

    async fn echoed(stream: &mut TcpStream, text: &[u8]) -> io::Result<()> {
        stream.write_all(text).await?;
        received(stream, text).await
    }

    async fn received(stream: &mut TcpStream, text: &[u8]) -> io::Result<()> {
        let mut answer = vec![0; text.len()];
        tokio::time::timeout(LIMIT, stream.read_exact(&mut answer)).await.unwrap()?;
        assert_eq!(answer, text);
        Ok(())
    }

    #[tokio::test]
    async fn a_closed_link_closes_connections_and_a_restored_one_accepts_new_ones() {
        let (server, _tasks) = echo().await;
        let proxy = Proxy::start(0, server, Ports::default()).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        echoed(&mut stream, b"whole").await.unwrap();
        proxy.set(Link::Closed);
        let mut rest = Vec::new();
        let end = tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap();
        assert!(end.is_err() || rest.is_empty());
        let mut refused = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        assert!(echoed(&mut refused, b"no").await.is_err());
        proxy.set(Link::Whole);
        let mut again = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        echoed(&mut again, b"restored").await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_link_holds_all_bytes_until_it_is_restored() {
        let (server, _tasks) = echo().await;
        let proxy = Proxy::start(0, server, Ports::default()).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        echoed(&mut stream, b"whole").await.unwrap();
        proxy.set(Link::Silent);
        stream.write_all(b"held").await.unwrap();
        let mut answer = [0; 4];
        // Only waiting can show that nothing arrives.
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut answer)).await;
        assert!(early.is_err());
        proxy.set(Link::Whole);
        received(&mut stream, b"held").await.unwrap();
        echoed(&mut stream, b"whole again").await.unwrap();
    }

    #[tokio::test]
    async fn clients_are_told_of_links() {
        let (server, _tasks) = echo().await;
        let links = Arc::new(HashMap::from([(26_001, 31_001)]));
        let proxy = Proxy::start(0, server, links).await.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        stream.write_all(b"-MOVED 3 127.0.0.1:26001\r\n").await.unwrap();
        received(&mut stream, b"-MOVED 3 127.0.0.1:31001\r\n").await.unwrap();
        // Bytes that could be an address are not held back for ever.
        echoed(&mut stream, b"$9\r\n127.0.0.1\r\n").await.unwrap();
    }
}
