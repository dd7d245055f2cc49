//! Sends a batch: one pipeline of calls and their barrier. A call for a slot that the server is taking over has ASKING
//! before it. A script that the server does not know is loaded, and its calls are sent again with a barrier of their own;
//! nothing else is sent twice.

use std::time::{Duration, Instant};

use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionLike as _};
use tokio::sync::oneshot;

use super::{barrier::Verdict, gate::Gate, queue::Write};
use crate::redis::{commands::Commands, script::Call};

/// A barrier ends so long before the callers stop waiting, and before the connection would be given up.
const MARGIN: Duration = Duration::from_millis(200);

/// A call that waits for its batch.
pub(super) struct Append {
    call: Call<'static>,
    /// The end of the caller's wait.
    until: Instant,
    /// ASKING comes right before the call.
    is_asking: bool,
    bytes: usize,
    done: oneshot::Sender<RedisResult<Value>>,
}

/// The answer of a call.
pub(super) type Answer = oneshot::Receiver<RedisResult<Value>>;

impl Append {
    /// With the receiver of its answer; if that is dropped, the call need not be sent.
    pub(super) fn new(call: Call<'static>, until: Instant, is_asking: bool) -> (Self, Answer) {
        let (done, answer) = oneshot::channel();
        let bytes = size_of::<Self>() + bytes_of(&call.command);
        (Self { call, until, is_asking, bytes, done }, answer)
    }

    fn answer(self, answer: RedisResult<Value>) {
        // A caller that has stopped waiting needs none.
        let _ = self.done.send(answer);
    }
}

impl Write for Append {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_wanted(&self) -> bool {
        !self.done.is_closed()
    }
}

/// Sends a batch and answers its callers. Returns what its last barrier found; an error if the connection is lost.
pub(super) async fn send(gate: &Gate, connection: &mut Commands, batch: Vec<Append>) -> RedisResult<Verdict> {
    let (unknown, verdict) = send_once(gate, connection, batch, false).await?;
    if unknown.is_empty() {
        return Ok(verdict);
    }
    if let Err(error) = load(connection, &unknown).await {
        answer_all(unknown, &error);
        return Err(error);
    }
    send_once(gate, connection, unknown, true).await.map(|(_, verdict)| verdict)
}

/// Answers all callers with this error.
pub(super) fn answer_all(batch: Vec<Append>, error: &RedisError) {
    batch.into_iter().for_each(|append| append.answer(Err(error.clone())));
}

/// Returns the calls whose scripts the server does not know, unless the scripts were `loaded` before.
async fn send_once(
    gate: &Gate,
    connection: &mut Commands,
    mut batch: Vec<Append>,
    loaded: bool,
) -> RedisResult<(Vec<Append>, Verdict)> {
    let now = Instant::now();
    let until = batch.iter().filter_map(|append| append.until.checked_sub(MARGIN)).max().unwrap_or(now);
    let confirming = gate.commands(until.saturating_duration_since(now));
    let confirmations = confirming.len();
    let mut pipeline = Pipeline::with_capacity(batch.len() + confirmations);
    for append in &mut batch {
        if append.is_asking {
            pipeline.cmd("ASKING");
        }
        pipeline.add_command(std::mem::take(&mut append.call.command));
    }
    for command in confirming {
        pipeline.add_command(command);
    }
    let mut answers = match connection.req_packed_commands(&pipeline, 0, pipeline.len()).await {
        Ok(answers) if answers.len() == pipeline.len() => answers,
        other => {
            let error = other.err().unwrap_or_else(|| (ErrorKind::UnexpectedReturnType, "answers are missing").into());
            answer_all(batch, &error);
            return Err(error);
        }
    };
    let of_gate = answers.split_off(answers.len() - confirmations);
    let verdict = gate.verdict(connection, of_gate, until).await;
    let (mut unknown, mut answered) = (Vec::new(), pipeline.cmd_iter().zip(answers));
    for mut append in batch {
        // After ASKING, whose answer says nothing.
        let Some((command, answer)) = answered.nth(append.is_asking.into()) else { continue };
        if !loaded && is_unknown_script(&answer) {
            append.call.command = command.clone();
            unknown.push(append);
        } else {
            append.answer(confirmed(answer, &verdict));
        }
    }
    Ok((unknown, verdict))
}

/// The answer of a call if the barrier was passed; a call that failed has its own error.
fn confirmed(answer: Value, verdict: &Verdict) -> RedisResult<Value> {
    let answer = answer.extract_error()?;
    match verdict {
        Verdict::Reached => Ok(answer),
        Verdict::NotReached => Err((ErrorKind::Client, "stored, but not confirmed in time").into()),
        Verdict::Refused(error) => Err(error.clone()),
    }
}

async fn load(connection: &mut Commands, appends: &[Append]) -> RedisResult<()> {
    let mut loaded: Vec<&str> = Vec::new();
    for script in appends.iter().map(|append| append.call.script) {
        if !loaded.contains(&script.get_hash()) {
            script.load_async(connection).await?;
            loaded.push(script.get_hash());
        }
    }
    Ok(())
}

fn is_unknown_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

/// The approximate size of a call in memory.
fn bytes_of(call: &Cmd) -> usize {
    let bytes = |argument| match argument {
        Arg::Simple(bytes) => <[u8]>::len(bytes) + size_of::<Arg<usize>>(),
        _ => 0,
    };
    call.args_iter().map(bytes).sum()
}
