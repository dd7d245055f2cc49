//! A Redis that answers, and does not record what it is asked to.

use jackfield_shared::lifecycle::Lifecycle;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// It ends when dropped.
pub struct RefusingRedis {
    pub url: String,
    lifecycle: Lifecycle,
}

impl Drop for RefusingRedis {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

impl RefusingRedis {
    /// Answers every script with `answer`, or by closing the connection if that is empty.
    pub async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, lifecycle) = (format!("redis://{}", listener.local_addr().unwrap()), Lifecycle::new());
        let (stop, spawner) = (lifecycle.stopping(), lifecycle.clone());
        lifecycle.spawn(async move {
            while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
                let stop = stop.clone();
                spawner.spawn(async move { stop.run_until_cancelled(serve(client, answer)).await });
            }
        });
        Self { url, lifecycle }
    }
}

/// Until the client closes the connection, or an answer is to do so.
async fn serve(client: TcpStream, answer: &'static str) -> Option<()> {
    let mut client = BufReader::new(client);
    loop {
        let answer = match command(&mut client).await?.as_str() {
            "PING" => "+PONG\r\n",
            "HELLO" => "%1\r\n+proto\r\n:3\r\n",
            "EVALSHA" | "EVAL" => answer,
            _ => "+OK\r\n",
        };
        if answer.is_empty() {
            return None;
        }
        client.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// The name of the next command.
async fn command(client: &mut BufReader<TcpStream>) -> Option<String> {
    let mut name = None;
    for _ in 0..number(client).await? {
        let mut argument = vec![0; number(client).await? + 2];
        client.read_exact(&mut argument).await.ok()?;
        name.get_or_insert_with(|| String::from_utf8_lossy(&argument).trim().to_uppercase());
    }
    name
}

/// A line such as `*3` or `$12`.
async fn number(client: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}
