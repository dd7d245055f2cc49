//! Passes on the WebSocket of an upgrade: as a tunnel of bytes between the client and the owner.
//!
//! The owner sees a WebSocket that came directly, and speaks with the client through the tunnel. A tunnel lasts as long
//! as that connection and costs this node two descriptors and one task. Guarantees: it has no buffer of its own while
//! nothing is blocked; it reads no further while the other side does not take what was read; if one side ends, the other
//! one gets what was read and the end, too; a side that takes nothing for [`BLOCKED_FOR`] ends the tunnel.

use std::{cell::RefCell, io, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{
        Request, Response, StatusCode,
        header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    },
};
use bytes::Bytes;
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use jackfield_engine::Transport;
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::timeout,
};

use super::{
    Failed, Passing, Relay,
    peers::Peer,
    poll::{CONNECT_WITHIN, Passed, answer_of, end_of, request_to},
};

/// How long the owner may take to answer the handshake, and HTTP to release the streams after it.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);
/// How long a side may take nothing.
const BLOCKED_FOR: Duration = Duration::from_secs(30);
/// How long one direction goes on after the end of the other.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

thread_local! {
    /// The bytes that any tunnel of this thread read last.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into());
}

/// One side of a tunnel, and what it sent directly after the handshake.
type Side = (TcpStream, Bytes);

pub(super) async fn pass_on(
    relay: &Arc<Relay>,
    sid: &str,
    mut request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let passing = relay.begin()?;
    let owner = relay.owner_of(sid).await?;
    let client = hyper::upgrade::on(&mut request);
    let asking = ask(relay, &owner, sid, request);
    let mut answer = timeout(UPGRADE_WITHIN, asking).await.map_err(|_| Failed::TimedOut)??;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let end = end_of(&owner, UPGRADE_WITHIN);
        return Ok(answer_of(answer, |body| Body::new(Passed { body, end, _passing: passing })));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for name in [UPGRADE, CONNECTION, SEC_WEBSOCKET_ACCEPT] {
        if let Some(value) = answer.headers_mut().remove(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    let server = hyper::upgrade::on(&mut answer);
    let tunnel = run(passing, owner, client, server);
    let stop = relay.lifecycle.stopping();
    relay.lifecycle.spawn(async move { stop.run_until_cancelled(tunnel).await });
    Ok(response)
}

/// The owner's answer to the client's handshake.
async fn ask(
    relay: &Relay,
    owner: &Peer,
    sid: &str,
    request: Request<Body>,
) -> Result<Response<hyper::body::Incoming>, Failed> {
    let mut headers = request.headers().clone();
    let mut passed = request_to(owner, relay, Transport::WebSocket, sid, request)?;
    let host = owner.address.parse().map_err(|_| Failed::Unreachable)?;
    passed.headers_mut().insert(axum::http::header::HOST, host);
    for name in [UPGRADE, CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION] {
        if let Some(value) = headers.remove(&name) {
            passed.headers_mut().insert(name, value);
        }
    }
    let connecting = timeout(CONNECT_WITHIN, TcpStream::connect(&owner.address));
    let Ok(Ok(stream)) = connecting.await else { return Err(Failed::Unreachable) };
    // The tunnel works without it, too.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failed::Interrupted)?;
    let stop = relay.lifecycle.stopping();
    relay.lifecycle.spawn(async move { stop.run_until_cancelled(connection.with_upgrades()).await });
    sender.send_request(passed).await.map_err(|_| Failed::Interrupted)
}

async fn run(passing: Passing, owner: Arc<Peer>, client: OnUpgrade, server: OnUpgrade) {
    let sides = timeout(UPGRADE_WITHIN, async { tokio::try_join!(client, server).ok() }).await;
    let Ok(Some((client, server))) = sides else { return };
    let (Some(client), Some(server)) = (side(client), side(server)) else { return };
    tokio::select! {
        () = join(client, server) => {}
        () = owner.gone.cancelled() => {}
        () = passing.0.drained() => {}
    }
}

fn side(upgraded: hyper::upgrade::Upgraded) -> Option<Side> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    // An empty slice would keep its buffer in memory.
    let early = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
    Some((parts.io.into_inner(), early))
}

/// Copies in both directions until both have ended.
async fn join((mut client, of_client): Side, (mut server, of_server): Side) {
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let up = std::pin::pin!(copy(client_read, of_client, server_write));
    let down = std::pin::pin!(copy(server_read, of_server, client_write));
    match futures_util::future::select(up, down).await {
        futures_util::future::Either::Left((Ok(()), other)) => drop(timeout(LINGER, other).await),
        futures_util::future::Either::Right((Ok(()), other)) => drop(timeout(LINGER, other).await),
        // One side has failed: dropping both ends the other one.
        _ => {}
    }
}

/// Copies until `from` ends, and then ends `to`.
async fn copy(from: ReadHalf<'_>, early: Bytes, mut to: WriteHalf<'_>) -> io::Result<()> {
    write(&to, &early).await?;
    drop(early);
    loop {
        from.readable().await?;
        match piece(&from, &to) {
            Ok(Some(left)) => write(&to, &left).await?,
            Ok(None) => return to.shutdown().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        tokio::task::consume_budget().await;
    }
}

/// Copies what can be read and written without waiting. Returns what was read and could not be written; `None` at the end.
fn piece(from: &ReadHalf<'_>, to: &WriteHalf<'_>) -> io::Result<Option<Vec<u8>>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let count = from.try_read(scratch)?;
        if count == 0 {
            return Ok(None);
        }
        let written = match to.try_write(&scratch[..count]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            written => written?,
        };
        Ok(Some(scratch[written..count].to_vec()))
    })
}

async fn write(to: &WriteHalf<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        timeout(BLOCKED_FOR, to.writable()).await??;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (one.unwrap(), other.unwrap().0)
    }

    /// A client and a server with a tunnel between them, into which both have sent something with their handshake.
    async fn tunnel() -> (TcpStream, TcpStream, impl Future<Output = ()>) {
        let ((client, outer), (inner, server)) = (pair().await, pair().await);
        (client, server, join((outer, "early".into()), (inner, "soon".into())))
    }

    fn many(seed: u8) -> Vec<u8> {
        (0..5_000_000usize).map(|at| seed.wrapping_add((at / 7) as u8)).collect()
    }

    async fn exchange(mut side: TcpStream, sends: &[u8], first: &str, receives: &[u8]) {
        let (mut read, mut write) = side.split();
        let sending = async {
            write.write_all(sends).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut received = Vec::new();
            read.read_to_end(&mut received).await.unwrap();
            received
        };
        let ((), received) = tokio::join!(sending, receiving);
        assert!(received == [first.as_bytes(), receives].concat(), "{} bytes", received.len());
    }

    #[tokio::test]
    async fn both_directions_arrive_whole_and_end() {
        let (client, server, tunnel) = tunnel().await;
        let (up, down) = (many(1), many(2));
        tokio::join!(exchange(client, &up, "soon", &down), exchange(server, &down, "early", &up), tunnel);
    }

    #[tokio::test]
    async fn the_end_of_one_side_ends_the_other() {
        for client_goes in [true, false] {
            let (client, server, tunnel) = tunnel().await;
            let (goes, mut stays) = if client_goes { (client, server) } else { (server, client) };
            drop(goes);
            let stays = async {
                let _ = stays.read_to_end(&mut Vec::new()).await;
                drop(stays);
            };
            tokio::join!(tunnel, stays);
        }
    }

    #[tokio::test]
    async fn nothing_is_read_that_the_other_side_does_not_take() {
        let (mut client, server, tunnel) = tunnel().await;
        let bytes = many(3);
        let blocked = async {
            // More than any socket buffers: the client is stopped while the server does not read.
            while let Ok(Ok(())) = timeout(Duration::from_millis(200), client.write_all(&bytes)).await {}
        };
        tokio::select! {
            () = blocked => {}
            () = tunnel => unreachable!("nobody has left"),
        }
        drop(server);
    }

    #[tokio::test]
    async fn an_idle_tunnel_is_small() {
        let (_client, _server, tunnel) = tunnel().await;
        assert!(size_of_val(&tunnel) < 1_500, "{} bytes", size_of_val(&tunnel));
    }
}
