//! A connection to one Redis, for the few commands that start and control it: RESP2 over TCP, or over a Unix socket where
//! TCP needs TLS.
//!
//! Every command has a time limit; an error answer is an error here. It does not reconnect and does not pipeline.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(5);
/// Longest text and longest list of an answer.
const LONGEST: i64 = 64 * 1024 * 1024;

/// The way to a Redis.
#[derive(Clone)]
pub enum Endpoint {
    /// A port of loopback.
    Tcp(u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// An answer that is not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status or a text.
    Text(Vec<u8>),
    /// An integer.
    Number(i64),
    /// A list of answers.
    List(Vec<Self>),
    /// Null.
    Nothing,
}

impl Reply {
    /// As text; numbers in digits, anything else is empty.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::Number(number) => number.to_string(),
            Self::List(_) | Self::Nothing => String::new(),
        }
    }

    /// The items of a list; none of anything else.
    pub fn list(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// The value after this name in a list of names and values.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut pairs = self.list().chunks_exact(2);
        pairs.find(|pair| pair[0].text() == name).map(|pair| pair[1].text())
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// See the module.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
}

impl Connection {
    /// Connects and, with a password, logs in as the default user.
    pub async fn open(endpoint: &Endpoint, password: Option<&str>) -> Result<Self> {
        let connecting = async {
            let stream: Box<dyn Stream> = match endpoint {
                Endpoint::Tcp(port) => Box::new(TcpStream::connect(("127.0.0.1", *port)).await?),
                Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
            };
            Ok::<_, std::io::Error>(stream)
        };
        let stream = timeout(LIMIT, connecting).await.context("no connection to Redis in time")??;
        let mut connection = Self { stream: BufReader::new(stream) };
        if let Some(password) = password {
            connection.ask(&["AUTH", password]).await?;
        }
        Ok(connection)
    }

    /// Sends a command and waits for its answer.
    pub async fn ask<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result<Reply> {
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for argument in command {
            let argument = argument.as_ref();
            request.extend(format!("${}\r\n", argument.len()).into_bytes());
            request.extend_from_slice(argument);
            request.extend_from_slice(b"\r\n");
        }
        let name = String::from_utf8_lossy(command.first().map_or(b"", AsRef::as_ref)).into_owned();
        let exchange = async {
            self.stream.get_mut().write_all(&request).await?;
            self.reply().await
        };
        timeout(LIMIT, exchange)
            .await
            .context("Redis did not answer in time")?
            .with_context(|| format!("Redis, {name}"))
    }

    async fn reply(&mut self) -> Result<Reply> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await?;
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix("\r\n").context("the connection ended")?;
        ensure!(!line.is_empty(), "an empty answer");
        let (kind, rest) = line.split_at(1);
        let length = || -> Result<i64> {
            let length = rest.parse()?;
            ensure!(length <= LONGEST, "an answer of {length}");
            Ok(length)
        };
        match kind {
            "+" => Ok(Reply::Text(rest.into())),
            ":" => Ok(Reply::Number(rest.parse()?)),
            "-" => bail!("{rest}"),
            "$" => match usize::try_from(length()?) {
                Err(_) => Ok(Reply::Nothing),
                Ok(length) => {
                    let mut text = vec![0; length + 2];
                    self.stream.read_exact(&mut text).await?;
                    text.truncate(length);
                    Ok(Reply::Text(text))
                }
            },
            "*" => match length()? {
                ..0 => Ok(Reply::Nothing),
                length => {
                    let mut items = Vec::new();
                    for _ in 0..length {
                        items.push(Box::pin(self.reply()).await?);
                    }
                    Ok(Reply::List(items))
                }
            },
            _ => bail!("not an answer of Redis: {line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &'static [u8]) -> Result<Reply> {
        let stream: Box<dyn Stream> = Box::new(std::io::Cursor::new(bytes.to_vec()));
        Connection { stream: BufReader::new(stream) }.reply().await
    }

    #[tokio::test]
    async fn answers_of_every_kind_are_read() {
        let text = |text: &str| Reply::Text(text.into());
        let list = Reply::List(vec![text("a\r\nb"), Reply::Number(-3), Reply::Nothing, Reply::List(vec![])]);
        assert_eq!(read(b"*4\r\n$4\r\na\r\nb\r\n:-3\r\n$-1\r\n*0\r\n").await.unwrap(), list);
        assert_eq!(read(b"+OK\r\n").await.unwrap(), text("OK"));
        assert_eq!(read(b"-MOVED 1 127.0.0.1:2\r\n").await.unwrap_err().to_string(), "MOVED 1 127.0.0.1:2");
        assert!(read(b"$5\r\nab").await.is_err() && read(b"").await.is_err());
    }
}
