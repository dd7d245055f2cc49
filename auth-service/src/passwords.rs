//! Hashes and verifies passwords with Argon2id.
//!
//! Guarantees: never on an async thread; never more at the same time than configured, because each one takes 19 MB and
//! a core; nobody waits for a turn longer than configured. Verifying for a user who does not exist costs what it costs
//! for one who does. Does not know users, and never logs a password or a hash.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::SaltString,
};
use rand::{TryRngCore as _, rngs::OsRng};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics;

/// Who waits for a turn beyond this many is refused at once.
const MAX_WAITING: usize = 4_096;
const SALT_BYTES: usize = 16;

/// What hashing a password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// KiB.
    pub memory: u32,
    /// Rounds over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// What OWASP's password storage recommendations ask of Argon2id.
    pub const STANDARD: Self = Self { memory: 19_456, passes: 2, lanes: 1 };
}

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Too many others are waiting: a passing state.
    #[error("too many sign-ins at once")]
    Busy,
    /// Never the caller's fault: a stored hash that is none, no randomness, a process that ends.
    #[error("{0}")]
    Failed(&'static str),
}

/// The one place where passwords are hashed.
pub struct Passwords {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    queue: Semaphore,
    wait: Duration,
    nobodys: String,
}

/// The right to hash now. Held by the work itself, so that one whose caller went away still counts.
pub struct Turn {
    argon2: Argon2<'static>,
    _permit: OwnedSemaphorePermit,
}

impl Passwords {
    /// At most `concurrency` at the same time (0 for one a core), each waiting at most `wait` for its turn.
    ///
    /// # Errors
    /// Where the parameters are none that Argon2 knows, or the system gives no randomness.
    pub async fn new(cost: Cost, concurrency: u32, wait: Duration) -> Result<Self, PasswordError> {
        let params = Params::new(cost.memory, cost.passes, cost.lanes, None);
        let params = params.map_err(|_| PasswordError::Failed("the Argon2 parameters make no sense"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = if concurrency == 0 { cores() } else { concurrency as usize };
        let (turns, queue) = (Arc::new(Semaphore::new(turns)), Semaphore::new(MAX_WAITING));
        let mut new = Self { argon2, turns, queue, wait, nobodys: String::new() };
        let secret = salt()?.to_string();
        new.nobodys = new.turn().await?.hash(secret).await?.0;
        Ok(new)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] when it did not come in time.
    pub async fn turn(&self) -> Result<Turn, PasswordError> {
        let busy = || {
            metrics::PASSWORD_BUSY.add(1);
            PasswordError::Busy
        };
        let _waiting = self.queue.try_acquire().map_err(|_| busy())?;
        let begun = Instant::now();
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
        metrics::PASSWORD_WAIT.record(begun.elapsed());
        let permit = turn.map_err(|_| busy())?.map_err(|_| PasswordError::Failed("no more turns"))?;
        Ok(Turn { argon2: self.argon2.clone(), _permit: permit })
    }

    /// A hash that no password matches, of the same cost as everybody's.
    #[must_use]
    pub fn nobodys_hash(&self) -> &str {
        &self.nobodys
    }

    /// Whether a stored hash was made with other parameters than those used now.
    #[must_use]
    pub fn is_outdated(&self, hash: &str) -> bool {
        let Ok(parsed) = PasswordHash::new(hash) else { return true };
        let algorithm = Algorithm::try_from(parsed.algorithm);
        let params = Params::try_from(&parsed);
        let now = self.argon2.params();
        let same =
            |old: &Params| (old.m_cost(), old.t_cost(), old.p_cost()) == (now.m_cost(), now.t_cost(), now.p_cost());
        algorithm != Ok(Algorithm::Argon2id)
            || parsed.version != Some(u32::from(Version::V0x13))
            || !params.as_ref().is_ok_and(same)
    }
}

impl Turn {
    /// A new hash of `password`, in PHC format, and the turn back.
    ///
    /// # Errors
    /// [`PasswordError::Failed`].
    pub async fn hash(self, password: String) -> Result<(String, Self), PasswordError> {
        let salt = salt()?;
        let work = move || {
            let hash = self.argon2.hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string());
            (hash, self)
        };
        let (hash, turn) = off_the_async_threads("hash", work).await?;
        Ok((hash.map_err(|_| PasswordError::Failed("Argon2 could not hash"))?, turn))
    }

    /// Whether `password` is the one that `hash` was made of, and the turn back.
    ///
    /// # Errors
    /// [`PasswordError::Failed`], where `hash` is none.
    pub async fn verify(self, password: String, hash: String) -> Result<(bool, Self), PasswordError> {
        let work = move || {
            let parsed = PasswordHash::new(&hash).map_err(|_| PasswordError::Failed("a stored hash is none"));
            let matches = parsed.map(|parsed| self.argon2.verify_password(password.as_bytes(), &parsed).is_ok());
            (matches, self)
        };
        let (matches, turn) = off_the_async_threads("verify", work).await?;
        Ok((matches?, turn))
    }
}

/// `what` is what it is timed as.
async fn off_the_async_threads<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PasswordError> {
    let timed = move || {
        let begun = Instant::now();
        let done = work();
        metrics::PASSWORD.record_for([what], begun.elapsed());
        done
    };
    tokio::task::spawn_blocking(timed).await.map_err(|_| PasswordError::Failed("the process ends"))
}

fn salt() -> Result<SaltString, PasswordError> {
    let mut bytes = [0; SALT_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| PasswordError::Failed("the system gives no randomness"))?;
    SaltString::encode_b64(&bytes).map_err(|_| PasswordError::Failed("the salt cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 1 };

    async fn passwords(cost: Cost, wait: Duration) -> Passwords {
        Passwords::new(cost, 1, wait).await.unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other() {
        let passwords = passwords(CHEAP, Duration::from_secs(5)).await;
        let (hash, turn) = passwords.turn().await.unwrap().hash("P44sw0rd".into()).await.unwrap();
        let (right, turn) = turn.verify("P44sw0rd".into(), hash.clone()).await.unwrap();
        let (wrong, turn) = turn.verify("p44sw0rd".into(), hash.clone()).await.unwrap();
        let (other, turn) = turn.hash("P44sw0rd".into()).await.unwrap();
        assert!(right && !wrong && other != hash);
        let (nobody, turn) = turn.verify("P44sw0rd".into(), passwords.nobodys_hash().into()).await.unwrap();
        assert!(!nobody);
        assert_eq!(
            turn.verify("x".into(), "not a hash".into()).await.err().unwrap(),
            PasswordError::Failed("a stored hash is none")
        );
    }

    #[tokio::test]
    async fn the_standard_cost_is_what_the_contract_says() {
        let passwords = passwords(Cost::STANDARD, Duration::from_secs(5)).await;
        assert!(passwords.nobodys_hash().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_is_outdated() {
        let cheap = passwords(CHEAP, Duration::from_secs(5)).await;
        let dearer = passwords(Cost { passes: 2, ..CHEAP }, Duration::from_secs(5)).await;
        assert!(!cheap.is_outdated(cheap.nobodys_hash()));
        assert!(dearer.is_outdated(cheap.nobodys_hash()));
        assert!(cheap.is_outdated(&cheap.nobodys_hash().replace("argon2id", "argon2i")));
        assert!(cheap.is_outdated("$2b$10$not-argon-at-all"));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_configured() {
        let passwords = passwords(CHEAP, Duration::from_secs(5)).await;
        let turn = passwords.turn().await.unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(passwords.turn().await.err(), Some(PasswordError::Busy));
        assert_eq!(before.elapsed().as_secs(), 5);
        drop(turn);
        assert!(passwords.turn().await.is_ok());
    }
}
