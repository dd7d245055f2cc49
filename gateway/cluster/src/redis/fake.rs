//! For tests: a server that speaks the Redis protocol, and answers as the test says.

use std::{future::pending, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Ends when it is dropped.
pub(super) struct Fake {
    pub(super) port: u16,
    serving: JoinHandle<()>,
}

/// The answer to a command, in the protocol's form; `None` is none, ever, and an empty one ends the connection.
type Answer = dyn Fn(&[String]) -> Option<String> + Send + Sync;

impl Fake {
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    pub(super) async fn start(answer: impl Fn(&[String]) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer: Arc<Answer> = Arc::new(answer);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer)));
            }
        });
        Self { port, serving }
    }

    /// A Redis with this role, which knows nothing but HELLO, PING and INFO, and has no replication id.
    pub(super) async fn redis(role: &'static str) -> Self {
        Self::start(move |command| {
            Some(match command[0].as_str() {
                "HELLO" => list(&["mode", "standalone", "role", role]),
                "PING" => "+PONG\r\n".into(),
                "INFO" => "$0\r\n\r\n".into(),
                _ => "-ERR unknown command\r\n".into(),
            })
        })
        .await
    }

    /// At an address at which nothing listens.
    #[expect(clippy::disallowed_methods, reason = "it ends at once")]
    pub(super) fn nowhere() -> Self {
        Self { port: 1, serving: tokio::spawn(async {}) }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A list of texts.
pub(super) fn list(items: &[&str]) -> String {
    let items: String = items.iter().map(|item| format!("${}\r\n{item}\r\n", item.len())).collect();
    format!("*{}\r\n{items}", items.matches('$').count())
}

async fn serve(stream: TcpStream, answer: Arc<Answer>) {
    let mut stream = BufReader::new(stream);
    while let Some(command) = command(&mut stream).await {
        match answer(&command) {
            Some(answer) if answer.is_empty() => return,
            Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap_or_default(),
            None => pending().await,
        }
    }
}

async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut command = Vec::new();
    for _ in 0..number(stream, '*').await? {
        let mut text = vec![0; number(stream, '$').await? + 2];
        stream.read_exact(&mut text).await.ok()?;
        text.truncate(text.len() - 2);
        command.push(String::from_utf8(text).ok()?);
    }
    Some(command)
}

async fn number(stream: &mut BufReader<TcpStream>, kind: char) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.strip_prefix(kind)?.trim_end().parse().ok()
}
