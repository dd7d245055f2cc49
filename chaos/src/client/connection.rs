//! One connection of a client, from its handshake to its end.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::{Command, Handler, Outbox, Settings};
use crate::packet::{Handshake, PONG, Packet};

/// Why a connection ended.
pub enum Ended {
    /// The transport closed, or a write failed or timed out.
    Transport,
    /// No ping came in time.
    Silent,
    /// CONNECT_ERROR or DISCONNECT: final. Names the packet and, for CONNECT_ERROR, its message.
    Rejected(String),
    /// By [`Command::Unplug`].
    Unplugged(Duration),
}

/// Longest wait for the kernel to accept our frames.
const WRITE: Duration = Duration::from_secs(20);
/// Bytes of each connection's read buffer, and of its write buffer.
const READ_BUFFER: usize = 8 * 1024;

pub struct Connection {
    socket: WebSocketStream<TcpStream>,
    settings: Arc<Settings>,
    node: usize,
    /// The namespace was joined.
    pub joined: bool,
    /// The server counts as silent if no ping comes before this.
    alive_until: Instant,
    patience: Duration,
}

impl Connection {
    /// Connects over TCP, upgrades, reads the Engine.IO handshake and sends CONNECT.
    pub async fn open(settings: &Arc<Settings>, node: usize, token: &str) -> Result<Self> {
        timeout(settings.handshake, Self::handshake(settings, node, token)).await.context("no handshake in time")?
    }

    async fn handshake(settings: &Arc<Settings>, node: usize, token: &str) -> Result<Self> {
        let address = &settings.nodes[node];
        let stream = connect(address, settings.receive_buffer).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let mut config = WebSocketConfig::default();
        (config.read_buffer_size, config.write_buffer_size) = (READ_BUFFER, READ_BUFFER);
        config.max_write_buffer_size = 1 << 20;
        let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
        let patience = match socket.next().await.context("closed")?? {
            Message::Text(text) => match Packet::read(&text, &settings.namespace) {
                Packet::Open(handshake) => patience(handshake)?,
                other => bail!("began with {other:?}"),
            },
            _ => bail!("began with another frame"),
        };
        let connect = super::Writer::new(&settings.namespace).connect(token)?;
        socket.send(Message::text(connect)).await?;
        let settings = Arc::clone(settings);
        Ok(Self { socket, settings, node, joined: false, alive_until: Instant::now() + patience, patience })
    }

    /// Serves the connection until it ends.
    pub async fn serve<H: Handler>(
        &mut self,
        handler: &mut H,
        outbox: &mut Outbox,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Ended {
        let mut ticks = interval(handler.pace());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ended = tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.receive(&text, handler, outbox),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Some(Ended::Transport),
                    Some(Ok(_)) => None,
                },
                _ = ticks.tick() => {
                    if self.joined {
                        handler.tick(outbox);
                    }
                    (Instant::now() > self.alive_until).then_some(Ended::Silent)
                }
                Some(command) = commands.recv() => match command {
                    Command::Unplug(away) => Some(Ended::Unplugged(away)),
                    Command::StopReading => {
                        while commands.recv().await.is_some_and(|command| command != Command::ReadAgain) {}
                        // The pings of that time are still in the socket: do not count it as silence.
                        self.alive_until = Instant::now() + self.patience;
                        None
                    }
                    Command::ReadAgain => None,
                },
            };
            if let Some(ended) = ended {
                return ended;
            }
            if !outbox.frames.is_empty() && self.write(outbox).await.is_err() {
                return Ended::Transport;
            }
        }
    }

    fn receive<H: Handler>(&mut self, text: &str, handler: &mut H, outbox: &mut Outbox) -> Option<Ended> {
        match Packet::read(text, &self.settings.namespace) {
            Packet::Event(name, data) => handler.event(name, data, outbox),
            Packet::Ack(number, data) => handler.ack(number, data, outbox),
            Packet::Ping => {
                self.alive_until = Instant::now() + self.patience;
                outbox.push(PONG.into());
            }
            Packet::Connect => {
                self.joined = true;
                handler.connected(self.node, outbox);
            }
            Packet::ConnectError(data) => return Some(Ended::Rejected(format!("CONNECT_ERROR {}", message(data)))),
            Packet::Disconnect => return Some(Ended::Rejected("DISCONNECT".into())),
            Packet::Close => return Some(Ended::Transport),
            Packet::Open(_) | Packet::Other => {}
        }
        None
    }

    async fn write(&mut self, outbox: &mut Outbox) -> Result<()> {
        let all = async {
            for frame in outbox.drain() {
                self.socket.feed(Message::text(frame)).await?;
            }
            self.socket.flush().await
        };
        timeout(WRITE, all).await.context("the server does not read")??;
        Ok(())
    }
}

/// A TCP connection to the first address of `host:port` that accepts one.
async fn connect(address: &str, receive_buffer: Option<u32>) -> Result<TcpStream> {
    let mut last = anyhow!("{address} has no address");
    for address in lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

fn patience(handshake: &str) -> Result<Duration> {
    let Handshake { ping_interval, ping_timeout } = serde_json::from_str(handshake)?;
    Ok(Duration::from_millis(ping_interval + ping_timeout))
}

fn message(data: &str) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_str::<Refusal>(data).map_or_else(|_| data.chars().take(80).collect(), |refusal| refusal.message)
}
