//! The output of the commands that a step of a test run starts: kept for the report, and printed line by line, or all
//! at once at the step's end if another step prints meanwhile.
//!
//! A step is a future; all commands that [`cargo::run`](crate::cargo::run) runs in it belong to it. Outside of any step a
//! command's output is passed on as it comes, and nothing is kept.

use std::{cell::RefCell, process::ExitStatus, rc::Rc, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::unix::pipe::Receiver,
    process::{Child, Command},
    time::timeout,
};

/// Bytes kept of one step; beyond that, the beginning is dropped.
const KEPT_LIMIT: usize = 8 * 1024 * 1024;
/// How long to read after a command has ended: a process that outlives it may hold its output open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

tokio::task_local! {
    static STEP: Rc<Step>;
}

struct Step {
    live: bool,
    kept: RefCell<String>,
}

impl Step {
    fn line(&self, line: &str) {
        if self.live {
            eprintln!("{line}");
        }
        let mut kept = self.kept.borrow_mut();
        kept.push_str(line);
        kept.push('\n');
        if kept.len() > KEPT_LIMIT {
            let from = kept.ceil_char_boundary(kept.len() - KEPT_LIMIT / 2);
            kept.drain(..from);
        }
    }
}

/// Runs a step; returns what it returns and all that its commands printed.
pub async fn of_step<T>(live: bool, step: impl Future<Output = T>) -> (T, String) {
    let log = Rc::new(Step { live, kept: RefCell::default() });
    let result = STEP.scope(Rc::clone(&log), step).await;
    let kept = log.kept.take();
    (result, kept)
}

/// Prints a line, as a command of the step would.
pub fn print(line: &str) {
    if STEP.try_with(|step| step.line(line)).is_err() {
        eprintln!("{line}");
    }
}

/// A started command, and its output if it runs in a step.
pub struct Running {
    pub child: Child,
    output: Option<Output>,
}

struct Output {
    step: Rc<Step>,
    reader: BufReader<Receiver>,
    /// The beginning of a line whose end has not arrived.
    begun: Vec<u8>,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Result<Self> {
        let Ok(step) = STEP.try_with(Rc::clone) else {
            return Ok(Self { child: command.spawn()?, output: None });
        };
        // One pipe for both, so that lines stay in order.
        let (reader, writer) = std::io::pipe().context("opening a pipe")?;
        let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        // Drop our copies of the writing end, or the reader would never see the end.
        drop(command);
        let reader = BufReader::new(Receiver::from_owned_fd(reader.into())?);
        Ok(Self { child, output: Some(Output { step, reader, begun: Vec::new() }) })
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let Some(output) = &mut self.output else { return Ok(self.child.wait().await?) };
        let status = tokio::select! {
            status = self.child.wait() => status?,
            read = output.pass_on() => { read?; self.child.wait().await? }
        };
        // The rest of the pipe.
        if let Ok(read) = timeout(DRAIN_TIMEOUT, output.pass_on()).await {
            read?;
        }
        output.flush();
        Ok(status)
    }
}

impl Output {
    /// Passes lines on until the end of the pipe. Cancel-safe.
    async fn pass_on(&mut self) -> Result<()> {
        while self.reader.read_until(b'\n', &mut self.begun).await? > 0 {
            self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) {
        if !self.begun.is_empty() {
            let line = String::from_utf8_lossy(&self.begun);
            self.step.line(line.trim_end_matches('\n'));
            self.begun.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<ExitStatus> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start(command)?.ended().await
    }

    #[tokio::test]
    async fn the_output_of_all_commands_of_a_step_is_kept_in_order() {
        let step = async {
            shell("echo one; echo two >&2; printf three").await.unwrap();
            print("four");
            shell("exit 3").await.unwrap().code()
        };
        let (code, kept) = of_step(false, step).await;
        assert_eq!((code, kept.as_str()), (Some(3), "one\ntwo\nthree\nfour\n"));
    }

    #[tokio::test]
    async fn nothing_is_cut_off_at_the_end() {
        let (_, kept) = of_step(false, shell("for i in $(seq 20000); do echo line $i; done")).await;
        assert_eq!(kept.lines().count(), 20_000);
        assert!(kept.ends_with("line 20000\n"));
    }
}
