//! One connection of a client, from its handshake to its end.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::{Command, Handler, Outbox};
use crate::packet::{self, Back, Handshake, PONG, Packet};

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

/// How long TCP connection, upgrade and handshake may take together. A frozen node accepts connections but does not
/// answer: give up early and try another, as behind a balancer.
const HANDSHAKE: Duration = Duration::from_secs(4);
/// Longest wait for the kernel to accept our frames.
const WRITE: Duration = Duration::from_secs(20);
/// Bytes of each connection's read buffer, and of its write buffer.
const READ_BUFFER: usize = 8 * 1024;

pub struct Connection {
    socket: WebSocketStream<TcpStream>,
    outbox: Outbox,
    /// The namespace was joined.
    pub joined: bool,
    /// Its knowledge for the next connection, if it asks for recovery.
    pub back: Option<Back>,
    /// The server counts as silent if no ping comes before this.
    alive_until: Instant,
    patience: Duration,
}

impl Connection {
    /// Connects over TCP to that `host:port`, upgrades, reads the Engine.IO handshake and sends CONNECT.
    pub async fn open(address: &str, receive_buffer: Option<u32>, token: &str, back: Option<Back>) -> Result<Self> {
        timeout(HANDSHAKE, Self::handshake(address, receive_buffer, token, back))
            .await
            .context("no handshake in time")?
    }

    async fn handshake(address: &str, receive_buffer: Option<u32>, token: &str, back: Option<Back>) -> Result<Self> {
        let stream = match receive_buffer {
            None => TcpStream::connect(address).await?,
            // The kernel must know it before it connects.
            Some(bytes) => {
                let socket = TcpSocket::new_v4()?;
                socket.set_recv_buffer_size(bytes)?;
                socket.connect(address.parse()?).await?
            }
        };
        stream.set_nodelay(true)?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let mut config = WebSocketConfig::default();
        (config.read_buffer_size, config.write_buffer_size) = (READ_BUFFER, READ_BUFFER);
        config.max_write_buffer_size = 1 << 20;
        let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
        let patience = match socket.next().await.context("closed")?? {
            Message::Text(text) => match Packet::read(&text) {
                Packet::Open(handshake) => patience(handshake)?,
                other => bail!("began with {other:?}"),
            },
            _ => bail!("began with another frame"),
        };
        socket.send(Message::text(packet::connect(token, back.as_ref()))).await?;
        let outbox = Outbox::default();
        Ok(Self { socket, outbox, joined: false, back, alive_until: Instant::now() + patience, patience })
    }

    /// Serves the connection until it ends.
    pub async fn serve<H: Handler>(&mut self, handler: &mut H, commands: &mut mpsc::Receiver<Command>) -> Ended {
        let mut ticks = interval(handler.pace());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ended = tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.receive(&text, handler),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Some(Ended::Transport),
                    Some(Ok(_)) => None,
                },
                _ = ticks.tick() => {
                    if self.joined {
                        handler.tick(&mut self.outbox);
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
            if !self.outbox.frames.is_empty() && self.write().await.is_err() {
                return Ended::Transport;
            }
        }
    }

    fn receive<H: Handler>(&mut self, text: &str, handler: &mut H) -> Option<Ended> {
        let outbox = &mut self.outbox;
        match Packet::read(text) {
            Packet::Event(name, data) => {
                handler.event(name, data, outbox);
                if let Some(back) = &mut self.back {
                    back.offset = packet::offset(data).or(back.offset.take());
                }
            }
            Packet::Ack(number, data) => handler.ack(number, data, outbox),
            Packet::Ping => {
                self.alive_until = Instant::now() + self.patience;
                outbox.frames.push_back(PONG.into());
            }
            Packet::Connect(data) => {
                self.joined = true;
                let pid = packet::pid(data);
                let recovered = self.back.as_ref().is_some_and(|back| pid.is_some() && back.pid == pid);
                if let Some(back) = &mut self.back {
                    back.pid = pid;
                }
                handler.connected(recovered, outbox);
            }
            Packet::ConnectError(data) => return Some(Ended::Rejected(format!("CONNECT_ERROR {}", message(data)))),
            Packet::Disconnect => return Some(Ended::Rejected("DISCONNECT".into())),
            Packet::Close => return Some(Ended::Transport),
            Packet::Open(_) | Packet::Other => {}
        }
        None
    }

    async fn write(&mut self) -> Result<()> {
        let all = async {
            for frame in self.outbox.drain() {
                self.socket.feed(Message::text(frame)).await?;
            }
            self.socket.flush().await
        };
        timeout(WRITE, all).await.context("the server does not read")??;
        Ok(())
    }
}

fn patience(handshake: &str) -> Result<Duration> {
    let Handshake { ping_interval, ping_timeout } = serde_json::from_str(handshake)?;
    Ok(Duration::from_millis(ping_interval + ping_timeout))
}

fn message(data: &str) -> String {
    let refusal: Value = serde_json::from_str(data).unwrap_or_default();
    refusal["message"].as_str().map_or_else(|| data.chars().take(80).collect(), str::to_owned)
}
