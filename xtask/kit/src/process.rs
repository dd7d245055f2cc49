//! A server process that this program starts, with a clean environment and a log file of its own.
//!
//! Guarantees: it exits when this program exits, even by SIGKILL (the kernel then sends it SIGKILL; Linux only), and it is
//! killed when its handle is dropped. It has its own process group, so that Ctrl-C reaches only this program, which then
//! stops all servers in order.

use std::{
    ffi::{OsStr, OsString},
    fs::OpenOptions,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use tokio::process::{Child, Command};

use crate::{paths, ready};

/// How to start a server. Kept for restarts.
#[derive(Clone)]
pub struct Spec {
    /// Name in messages: `gw1`, `redis`.
    pub name: String,
    program: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(String, String)>,
    user: Option<String>,
    log: PathBuf,
}

/// Variables that a server inherits. No others: a setting in the user's shell must not change a cluster.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ", "RUST_BACKTRACE"];

impl Spec {
    /// A server whose output goes to `<logs>/<name>.log`.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, logs: &Path) -> Self {
        let name = name.into();
        let log = logs.join(format!("{name}.log"));
        Self { name, program: program.into(), args: Vec::new(), environment: Vec::new(), user: None, log }
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Several of them.
    pub fn envs(mut self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// Runs the server as that user, which only root can do.
    pub fn user(mut self, user: Option<String>) -> Self {
        self.user = user;
        self
    }

    /// Starts it. An existing log file is appended to.
    pub fn start(&self) -> Result<Server> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("log file {}", self.log.display()))?;
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {} ({})", self.name, self.program.display()))?;
        let pid = child.id().context("no process id")?;
        Ok(Server { name: self.name.clone(), pid, child, log: self.log.clone() })
    }

    /// Runs the program until it exits; fails unless it exits with code 0 within `limit`.
    pub async fn run(&self, limit: Duration) -> Result<()> {
        self.start()?.succeeded(limit).await
    }

    /// `setpriv` sets the signal that the kernel sends when this program dies, and the user before that: changing the user later
    /// would clear the signal.
    fn command(&self) -> Command {
        let setpriv = paths::which("setpriv");
        let mut command = Command::new(setpriv.as_ref().unwrap_or(&self.program));
        if setpriv.is_some() {
            let user = self.user.iter().flat_map(|user| ["--reuid", user, "--regid", user, "--init-groups"]);
            command.args(["--pdeathsig", "KILL"]).args(user).arg("--").arg(&self.program);
        }
        command.args(&self.args).env_clear().current_dir("/");
        command.envs(INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Longest time from SIGTERM to the exit, with any configured drain.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// A started server.
pub struct Server {
    /// As in its [`Spec`].
    pub name: String,
    /// Of the server itself: `setpriv` replaces itself with it.
    pub pid: u32,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Its exit status, if it has exited.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its resident memory, in KiB; Linux only.
    pub fn memory(&self) -> Result<u64> {
        let file = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&file).context(file)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().context("VmRSS")
    }

    /// Waits until it exits, at most `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(limit, self.child.wait()).await.ok()?.ok()
    }

    /// Sends a signal, then SIGCONT: a frozen process would not handle the signal otherwise.
    pub fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let (None, Some(pid)) = (self.exit_status(), pid) {
            // An error means that the process has just exited, which is as good.
            let _ = kill_process(pid, signal);
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Freezes it for that time: it keeps its connections and answers nothing.
    pub async fn freeze(&self, time: Duration) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::STOP)?;
        tokio::time::sleep(time).await;
        Ok(kill_process(pid, Signal::CONT)?)
    }

    /// Stops it: sends `first`, sends it again after half of `limit`, then SIGKILL.
    pub async fn stop(&mut self, first: Signal, limit: Duration) {
        for _ in 0..2 {
            self.signal(first);
            if self.wait(limit / 2).await.is_some() {
                return;
            }
        }
        self.signal(Signal::KILL);
        self.wait(limit).await;
    }

    /// Sends SIGTERM and waits until the server has drained and exited; fails unless it exits with code 0.
    pub async fn drain(&mut self) -> Result<()> {
        if let Some(status) = self.exit_status() {
            bail!("{} is not running: {}", self.name, describe(status));
        }
        self.signal(Signal::TERM);
        self.succeeded(DRAIN_LIMIT).await.context("after SIGTERM")
    }

    /// Waits until it exits; fails unless it exits with code 0 within `limit`.
    async fn succeeded(&mut self, limit: Duration) -> Result<()> {
        match self.wait(limit).await {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{} failed: {}\n{}", self.name, describe(status), self.tail()),
            None => bail!("{} did not exit within {} s\n{}", self.name, limit.as_secs(), self.tail()),
        }
    }

    /// Waits until `check` succeeds. If it never does, the error has the last error of `check` and the end of the log.
    pub async fn until_ready<F: Future<Output = Result<()>>>(&mut self, check: impl Fn() -> F) -> Result<()> {
        let pause = Duration::from_millis(50);
        let mut last = anyhow!("not checked");
        let deadline = tokio::time::Instant::now() + ready::LIMIT;
        while tokio::time::Instant::now() < deadline {
            if let Some(status) = self.exit_status() {
                bail!("{} exited during startup ({})\n{}", self.name, describe(status), self.tail());
            }
            match check().await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            tokio::time::sleep(pause).await;
        }
        let seconds = ready::LIMIT.as_secs();
        bail!("{} was not ready within {seconds} s: {last:#}\n{}", self.name, self.tail())
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        format!("--- last lines of {} ---\n{}", self.log.display(), last.join("\n"))
    }
}

/// Raises our limit of open files to the maximum, and so that of our children: both ends of each client's socket count.
pub fn raise_open_files_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raising the limit of open files")
}

/// `exit code 1`, `signal 9`.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
