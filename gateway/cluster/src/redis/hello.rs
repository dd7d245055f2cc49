//! The first exchange on a connection: HELLO with the login, which also says what kind of server answers.
//!
//! Every user may send HELLO, whatever the ACL. Its answer names the server's role and mode, so verifying them costs no
//! permission and no round trip.

use std::io;

use redis::{Cmd, ErrorKind, FromRedisValue as _, RedisError, RedisResult, Value, parse_redis_value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{stream::Stream, target::Login};

/// The longest answer that is read: that to HELLO has about 200 bytes.
const LONGEST: usize = 16 * 1_024;

/// A server's words about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// `standalone`, `cluster` or `sentinel`.
    pub(crate) mode: String,
    /// `master` or `replica`; empty for a sentinel.
    pub(crate) role: String,
}

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Answers only.
    Resp2,
    /// Also messages that Redis pushes.
    Resp3,
}

/// Logs in and selects the database. Has no timeout of its own.
pub(crate) async fn hello(stream: &mut Stream, login: &Login, protocol: Protocol) -> RedisResult<Greeting> {
    let mut command = redis::cmd("HELLO");
    command.arg(match protocol {
        Protocol::Resp2 => "2",
        Protocol::Resp3 => "3",
    });
    if let Some(password) = &login.password {
        command.arg("AUTH").arg(login.user.as_deref().unwrap_or("default")).arg(password);
    }
    let greeting = Greeting::read(ask(stream, &command).await.map_err(refused)?);
    if login.database != 0 {
        let answer = ask(stream, redis::cmd("SELECT").arg(login.database)).await;
        answer.map_err(|error| about("the database of the address cannot be selected", &error))?;
    }
    Ok(greeting)
}

/// One command and its answer, on a stream on which nothing else is under way.
pub(crate) async fn ask(stream: &mut Stream, command: &Cmd) -> RedisResult<Value> {
    stream.write_all(&command.get_packed_command()).await?;
    stream.flush().await?;
    let mut answer = Vec::with_capacity(512);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match parse_redis_value(&answer) {
            Ok(Value::ServerError(error)) => return Err(error.into()),
            Ok(value) => return Ok(value),
            Err(error) if error.is_io_error() && answer.len() < LONGEST => {}
            Err(_) => return Err((ErrorKind::Parse, "this is no Redis: it speaks another protocol").into()),
        }
    }
}

impl Greeting {
    /// A list of names and values, or a map. Unknown names are ignored.
    fn read(answer: Value) -> Self {
        let pairs: Vec<(Value, Value)> = match answer {
            Value::Map(pairs) => pairs,
            Value::Array(items) => {
                let mut items = items.into_iter();
                std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
            }
            _ => Vec::new(),
        };
        let mut greeting = Self::default();
        for (name, value) in pairs {
            let Ok(name) = String::from_redis_value(name) else { continue };
            let to = match name.as_str() {
                "mode" => &mut greeting.mode,
                "role" => &mut greeting.role,
                _ => continue,
            };
            *to = String::from_redis_value(value).unwrap_or_default();
        }
        greeting
    }
}

/// A wrong login has an error kind of its own, so that the log can name the setting.
fn refused(error: RedisError) -> RedisError {
    match error.code() {
        Some("WRONGPASS" | "NOAUTH" | "NOPERM") => {
            (ErrorKind::AuthenticationFailed, "the user or password is refused", error.to_string()).into()
        }
        _ => error,
    }
}

fn about(problem: &str, error: &RedisError) -> RedisError {
    io::Error::other(format!("{problem}: {error}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_read_in_both_protocols() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let pairs = [("server", "redis"), ("mode", "cluster"), ("role", "replica"), ("new", "thing")];
        let list = pairs.iter().flat_map(|(name, value)| [text(name), text(value)]).collect();
        let map = pairs.iter().map(|(name, value)| (text(name), text(value))).collect();
        for answer in [Value::Array(list), Value::Map(map)] {
            let Greeting { mode, role } = Greeting::read(answer);
            assert_eq!((mode.as_str(), role.as_str()), ("cluster", "replica"));
        }
        assert_eq!(Greeting::read(Value::Array(vec![text("mode")])), Greeting::default());
        assert_eq!(Greeting::read(Value::Okay), Greeting::default());
    }
}
