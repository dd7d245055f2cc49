//! Hashes and verifies passwords with Argon2id, on threads of its own.
//!
//! Guarantees: never on an async thread; as many threads as configured, each with one block of memory (19 MB at the
//! standard cost) that it reuses for every password, so memory does not grow with the number of sign-ins; an idle
//! thread wipes and frees its block. Client addresses take turns (see [`crate::fair_queue`]), so one that floods does
//! not make the others wait long; no request waits longer than configured. Verifying for an unknown user costs as much
//! as for a known one (see [`Passwords::dummy_hash`]). Does not know users, and never logs a password or a hash.

mod hasher;
mod turn_queue;

use std::{
    net::{IpAddr, Ipv6Addr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use jackfield_shared::lifecycle::Lifecycle;
use tokio::sync::oneshot;

use crate::{fair_queue::Full, metrics, settings::Password};
pub use hasher::Cost;
use hasher::Hasher;
use turn_queue::{Next, TurnQueue};

/// Requests that may wait for a turn, of all addresses.
const MAX_WAITING: usize = 4_096;
/// A thread that is idle for this long frees its memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The address for the service's own passwords, which no client waits for.
pub const OWN: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// Longest wait for a turn for [`OWN`]. Not the clients' setting, which may be shorter than a thread takes to start.
const OWN_WAIT: Duration = Duration::from_secs(30);

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Too many requests of the same address are waiting. Temporary.
    #[error("too many passwords of one client address wait to be hashed")]
    AddressBusy,
    /// Too many requests are waiting, the wait was too long, or the process is stopping. Temporary.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// Never the caller's fault: an invalid stored hash, no randomness, a process that is stopping.
    #[error("{0}")]
    Failed(&'static str),
}

/// The one place where passwords are hashed.
pub struct Passwords {
    cost: Cost,
    queue: Arc<TurnQueue>,
    wait: Duration,
    dummy_hash: String,
}

/// The right to hash now: a thread that waits for jobs. When this is dropped, it serves the next request.
pub struct Turn {
    jobs: mpsc::SyncSender<Job>,
}

type Job = Box<dyn FnOnce(&mut Hasher) + Send>;

impl Passwords {
    /// Starts the threads. They end soon after the lifecycle stops, and the lifecycle waits for them.
    ///
    /// # Errors
    /// Argon2 refuses the parameters, or the system gives no threads or no randomness.
    pub async fn new(cost: Cost, limits: &Password, lifecycle: &Lifecycle) -> Result<Self, PasswordError> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if limits.concurrency == 0 { cores() } else { limits.concurrency as usize };
        let per_address = if limits.per_address == 0 { usize::MAX } else { limits.per_address as usize };
        let queue = Arc::new(TurnQueue::new(per_address, MAX_WAITING));
        // Created first: if anything below fails, its drop closes the queue and the threads end.
        let mut new = Self { cost, queue: Arc::clone(&queue), wait: limits.wait, dummy_hash: String::new() };
        for number in 0..threads {
            let (running, queue, mut hasher) = (lifecycle.track(), Arc::clone(&queue), Hasher::new(cost)?);
            let work = move || {
                let _running = running;
                serve(&queue, &mut hasher);
            };
            let started = std::thread::Builder::new().name(format!("password-{number}")).spawn(work);
            started.map_err(|_| PasswordError::Failed("cannot start a hashing thread"))?;
        }
        let stopping = lifecycle.stopping();
        lifecycle.spawn(async move {
            stopping.cancelled().await;
            queue.close();
        });
        let secret = jackfield_shared::ids::new_id();
        new.dummy_hash = new.turn(OWN).await?.hash(secret).await?.0;
        Ok(new)
    }

    /// Whether a request of this client could wait for a turn now. Call it before any other work for the request.
    ///
    /// # Errors
    /// [`PasswordError::AddressBusy`], [`PasswordError::Busy`].
    pub fn check_capacity(&self, client: IpAddr) -> Result<(), PasswordError> {
        self.queue.check(client).map_err(refused)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`PasswordError::AddressBusy`] or [`PasswordError::Busy`] at once; `Busy` if the turn does not come in time.
    pub async fn turn(&self, client: IpAddr) -> Result<Turn, PasswordError> {
        let (waiter, turn) = oneshot::channel();
        let _place = self.queue.join(client, waiter).map_err(refused)?;
        let start = Instant::now();
        let wait = if client == OWN { OWN_WAIT } else { self.wait };
        let turn = tokio::time::timeout(wait, turn).await;
        metrics::PASSWORD_WAIT.record(start.elapsed());
        // It timed out, or a request of an address with fewer waiting took its place.
        turn.ok().and_then(Result::ok).ok_or_else(|| refused(Full::All))
    }

    /// A hash that no password matches, made at the current cost.
    #[must_use]
    pub fn dummy_hash(&self) -> &str {
        &self.dummy_hash
    }

    /// Whether a stored hash was made with other parameters than those used now.
    #[must_use]
    pub fn is_outdated(&self, hash: &str) -> bool {
        !self.cost.matches(hash)
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Counts the refusal here, because every error made here is returned to a caller.
fn refused(why: Full) -> PasswordError {
    metrics::PASSWORD_BUSY.add(1);
    match why {
        Full::Key => PasswordError::AddressBusy,
        Full::All => PasswordError::Busy,
    }
}

impl Turn {
    /// Returns a new hash of `password`, in PHC format, and this turn.
    ///
    /// # Errors
    /// [`PasswordError::Failed`].
    pub async fn hash(self, password: String) -> Result<(String, Self), PasswordError> {
        let hash = self.run("hash", move |hasher| hasher.hash(&password)).await?;
        Ok((hash, self))
    }

    /// Returns whether `hash` was made from `password`, and this turn.
    ///
    /// # Errors
    /// [`PasswordError::Failed`], also if `hash` is not a valid hash.
    pub async fn verify(self, password: String, hash: String) -> Result<(bool, Self), PasswordError> {
        let matches = self.run("verify", move |hasher| hasher.verify(&password, &hash)).await?;
        Ok((matches, self))
    }

    /// `what` is the label of the duration metric.
    async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Hasher) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        const ENDED: PasswordError = PasswordError::Failed("a hashing thread ended");
        let (answer, done) = oneshot::channel();
        let job = move |hasher: &mut Hasher| {
            let start = Instant::now();
            let result = work(hasher);
            metrics::PASSWORD.record_for([what], start.elapsed());
            // The receiver is gone if the request has ended meanwhile.
            let _ = answer.send(result);
        };
        // A turn runs one job at a time, so the channel's only slot is free.
        self.jobs.try_send(Box::new(job)).map_err(|_| ENDED)?;
        done.await.map_err(|_| ENDED)?
    }
}

/// Runs a thread until the queue is closed and empty.
fn serve(queue: &TurnQueue, hasher: &mut Hasher) {
    let mut timeout = None;
    loop {
        match queue.next(timeout) {
            Next::Serve(waiter) => {
                let (jobs, received) = mpsc::sync_channel::<Job>(1);
                // If the request has ended, the turn is dropped, the channel closes, and the thread serves the next.
                let _ = waiter.send(Turn { jobs });
                while let Ok(job) = received.recv() {
                    // Nothing here panics. If something did, the thread would go on with the next password.
                    let _ = catch_unwind(AssertUnwindSafe(|| job(hasher)));
                }
                timeout = Some(IDLE_TIMEOUT);
            }
            Next::Idle => {
                hasher.wipe();
                timeout = None;
            }
            Next::Closed => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 1 };
    const LIMITS: Password = Password { concurrency: 1, per_address: 3, wait: Duration::from_secs(5) };

    async fn passwords(cost: Cost) -> (Passwords, Lifecycle) {
        let lifecycle = Lifecycle::new();
        (Passwords::new(cost, &LIMITS, &lifecycle).await.unwrap(), lifecycle)
    }

    fn client(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let (passwords, _lifecycle) = passwords(CHEAP).await;
        let (hash, turn) = passwords.turn(client(1)).await.unwrap().hash("P44sw0rd".into()).await.unwrap();
        let (right, turn) = turn.verify("P44sw0rd".into(), hash.clone()).await.unwrap();
        let (wrong, turn) = turn.verify("p44sw0rd".into(), hash.clone()).await.unwrap();
        let (other, turn) = turn.hash("P44sw0rd".into()).await.unwrap();
        assert!(right && !wrong && other != hash);
        let (matches, turn) = turn.verify("P44sw0rd".into(), passwords.dummy_hash().into()).await.unwrap();
        assert!(!matches);
        assert_eq!(
            turn.verify("x".into(), "not a hash".into()).await.err().unwrap(),
            PasswordError::Failed("a stored password hash is invalid")
        );
        assert!(passwords.turn(client(1)).await.is_ok(), "the thread continues");
    }

    #[tokio::test]
    async fn the_standard_cost_is_that_of_the_contract() {
        let (passwords, _lifecycle) = passwords(Cost::STANDARD).await;
        assert!(passwords.dummy_hash().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(!passwords.is_outdated(passwords.dummy_hash()));
        assert!(passwords.is_outdated("$2b$10$not-argon-at-all"));
    }

    #[tokio::test]
    async fn no_request_waits_longer_than_configured() {
        let (mut passwords, _lifecycle) = passwords(CHEAP).await;
        let turn = passwords.turn(client(1)).await.unwrap();
        passwords.wait = Duration::from_millis(20);
        let before = Instant::now();
        assert_eq!(passwords.turn(client(2)).await.err(), Some(PasswordError::Busy));
        assert!(before.elapsed() >= passwords.wait);
        assert_eq!(passwords.queue.waiting(), 0);
        passwords.wait = LIMITS.wait;
        drop(turn);
        assert!(passwords.turn(client(2)).await.is_ok());
    }

    #[tokio::test]
    async fn a_service_starts_however_short_clients_may_wait() {
        let lifecycle = Lifecycle::new();
        let limits = Password { wait: Duration::ZERO, ..LIMITS };
        for _ in 0..20 {
            assert!(Passwords::new(CHEAP, &limits, &lifecycle).await.is_ok());
        }
    }

    #[tokio::test]
    async fn an_address_with_many_requests_is_refused_and_others_take_turns() {
        let (passwords, _lifecycle) = passwords(CHEAP).await;
        let turn = passwords.turn(client(1)).await.unwrap();
        let mut crowd: Vec<_> = (0..3).map(|_| Box::pin(passwords.turn(client(1)))).collect();
        for waiting in &mut crowd {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        assert_eq!(passwords.check_capacity(client(1)), Err(PasswordError::AddressBusy));
        assert_eq!(passwords.turn(client(1)).await.err(), Some(PasswordError::AddressBusy));
        assert_eq!(passwords.check_capacity(client(2)), Ok(()));
        let mut honest = Box::pin(passwords.turn(client(2)));
        assert!(futures_util::poll!(&mut honest).is_pending());

        drop(turn);
        drop(crowd.remove(0).await.unwrap());
        let honest = honest.await;
        assert!(honest.is_ok());
        assert_eq!(passwords.queue.waiting(), 2, "of the crowd");
    }

    #[tokio::test]
    async fn a_request_that_was_dropped_leaves_the_queue() {
        let (passwords, _lifecycle) = passwords(CHEAP).await;
        let turn = passwords.turn(client(1)).await.unwrap();
        let mut gone: Vec<_> = (2..10).map(|number| Box::pin(passwords.turn(client(number)))).collect();
        for waiting in &mut gone {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        assert_eq!(passwords.queue.waiting(), 8);
        drop(gone);
        assert_eq!(passwords.queue.waiting(), 0);
        drop(turn);
        assert!(passwords.turn(client(1)).await.is_ok());
    }

    #[tokio::test]
    async fn threads_serve_waiting_requests_and_end_with_the_lifecycle() {
        let (passwords, lifecycle) = passwords(CHEAP).await;
        let turn = passwords.turn(client(1)).await.unwrap();
        let mut waiting = Box::pin(passwords.turn(client(1)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        lifecycle.stop();
        while passwords.check_capacity(client(1)).is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.turn(client(1)).await.err(), Some(PasswordError::Busy), "no new request");
        drop(turn);
        drop(waiting.await.unwrap());
        assert!(lifecycle.finish(Duration::from_secs(5)).await, "every thread has ended");
    }
}
