//! Requests to shut down: SIGINT, SIGTERM, SIGHUP (the terminal closed), or end of standard input.

use std::io::Read;

use anyhow::{Result, bail};
use rustix::fs::FileType;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Listens from its creation on: a signal before [`Shutdown::requested`] is not lost.
pub struct Shutdown {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    input_closed: Option<oneshot::Receiver<()>>,
}

impl Shutdown {
    /// Installs the signal handlers.
    pub fn listen() -> Result<Self> {
        // Only a pipe or a socket has another end that can close; `/dev/null` is at its end from the start.
        let kind = rustix::fs::fstat(rustix::stdio::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let input_closed = matches!(kind, Ok(FileType::Fifo | FileType::Socket)).then(watch_input);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            input_closed,
        })
    }

    /// Waits for a request, and returns its reason. Cancel-safe.
    pub async fn requested(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "the terminal closed",
            () = closed(&mut self.input_closed) => "standard input closed",
        }
    }
}

/// Runs the work; fails if a request to shut down comes first. Servers are killed when the work is dropped.
pub async fn unless_requested<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut shutdown = Shutdown::listen()?;
    tokio::select! {
        result = work => result,
        why = shutdown.requested() => bail!("{why}: stopped before the end"),
    }
}

async fn closed(input: &mut Option<oneshot::Receiver<()>>) {
    match input {
        // An error means that the thread is gone, which counts as a request, too.
        Some(receiver) => drop(receiver.await),
        None => std::future::pending().await,
    }
}

/// Reads in a thread of its own, because a blocking read cannot be cancelled; the thread ends with the process.
fn watch_input() -> oneshot::Receiver<()> {
    let (closed, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut ignored = [0; 64];
        while matches!(input.read(&mut ignored), Ok(1..)) {}
        // The receiver may be gone already.
        let _ = closed.send(());
    });
    receiver
}
