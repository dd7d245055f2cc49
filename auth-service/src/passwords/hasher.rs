//! Argon2id in one reused block of memory.
//!
//! Guarantees: hashes and verifies PHC strings exactly as the `argon2` crate does. The block is the only large
//! allocation; it is made at first use, and again when a hash needs more memory. [`Hasher::wipe`] wipes and frees it.

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHash, Version,
    password_hash::{Output, ParamsString, SaltString},
};
use rand::{TryRngCore as _, rngs::OsRng};
use zeroize::Zeroize as _;

use super::PasswordError;

const SALT_BYTES: usize = 16;

/// The cost of hashing a password.
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
    /// The Argon2id parameters that OWASP recommends for password storage.
    pub const STANDARD: Self = Self { memory: 19_456, passes: 2, lanes: 1 };

    fn params(self) -> Result<Params, PasswordError> {
        let params = Params::new(self.memory, self.passes, self.lanes, None);
        params.map_err(|_| PasswordError::Failed("invalid Argon2 parameters"))
    }

    /// Whether a stored hash was made at this cost.
    pub(super) fn matches(self, hash: &str) -> bool {
        let Ok(parsed) = PasswordHash::new(hash) else { return false };
        let params = Params::try_from(&parsed);
        let same = |old: Params| (old.m_cost(), old.t_cost(), old.p_cost()) == (self.memory, self.passes, self.lanes);
        parsed.algorithm == ARGON2ID_IDENT && parsed.version == Some(Version::V0x13.into()) && params.is_ok_and(same)
    }
}

/// Hashes one password at a time.
pub struct Hasher {
    params: Params,
    memory: Vec<Block>,
}

impl Hasher {
    /// A hasher without memory yet.
    ///
    /// # Errors
    /// Argon2 refuses the parameters.
    pub fn new(cost: Cost) -> Result<Self, PasswordError> {
        Ok(Self { params: cost.params()?, memory: Vec::new() })
    }

    /// A new hash of `password`, in PHC format.
    ///
    /// # Errors
    /// [`PasswordError::Failed`].
    pub fn hash(&mut self, password: &str) -> Result<String, PasswordError> {
        const FAILED: PasswordError = PasswordError::Failed("Argon2 failed");
        let mut salt = [0; SALT_BYTES];
        OsRng
            .try_fill_bytes(&mut salt)
            .map_err(|_| PasswordError::Failed("cannot read random bytes from the system"))?;
        let text = SaltString::encode_b64(&salt).map_err(|_| FAILED)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let output = self.output(&argon2, Params::DEFAULT_OUTPUT_LEN, password, &salt).ok_or(FAILED)?;
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).map_err(|_| FAILED)?,
            salt: Some(text.as_salt()),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    /// Whether `hash` was made from `password`, with any variant of Argon2 and any parameters.
    ///
    /// # Errors
    /// [`PasswordError::Failed`] if `hash` is not a valid hash.
    pub fn verify(&mut self, password: &str, hash: &str) -> Result<bool, PasswordError> {
        self.check(password, hash).ok_or(PasswordError::Failed("a stored password hash is invalid"))
    }

    fn check(&mut self, password: &str, hash: &str) -> Option<bool> {
        let parsed = PasswordHash::new(hash).ok()?;
        let algorithm = Algorithm::try_from(parsed.algorithm).ok()?;
        let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&parsed).ok()?);
        let (expected, mut salt) = (parsed.hash?, [0; 64]);
        let salt = parsed.salt?.decode_b64(&mut salt).ok()?;
        // `Output` compares in constant time.
        Some(self.output(&argon2, expected.len(), password, salt)? == expected)
    }

    /// Wipes and frees the memory: its content would help to guess passwords.
    pub fn wipe(&mut self) {
        self.memory.zeroize();
        self.memory = Vec::new();
    }

    fn output(&mut self, argon2: &Argon2<'_>, length: usize, password: &str, salt: &[u8]) -> Option<Output> {
        let needed = argon2.params().block_count();
        if self.memory.len() < needed {
            self.memory = vec![Block::new(); needed];
        }
        let memory = self.memory.get_mut(..needed)?;
        let fill = |output: &mut [u8]| {
            argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, memory).map_err(Into::into)
        };
        Output::init_with(length, fill).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{PasswordHasher as _, PasswordVerifier as _};
    use proptest::prelude::*;

    const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 1 };

    fn hasher(cost: Cost) -> Hasher {
        Hasher::new(cost).unwrap()
    }

    #[test]
    fn a_hash_of_other_parameters_is_verified_and_not_of_this_cost() {
        let dearer = Cost { memory: 128, passes: 2, lanes: 2 };
        let hash = hasher(dearer).hash("P44sw0rd").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=128,t=2,p=2$"), "{hash}");
        let mut cheap = hasher(CHEAP);
        assert_eq!(cheap.verify("P44sw0rd", &hash), Ok(true));
        assert_eq!(cheap.verify("p44sw0rd", &hash), Ok(false));
        assert!(dearer.matches(&hash) && !CHEAP.matches(&hash));
        assert!(
            !dearer.matches(&hash.replace("argon2id", "argon2i")) && !dearer.matches(&hash.replace("v=19", "v=16"))
        );
        assert!(!CHEAP.matches("$2b$10$not-argon-at-all"));
    }

    #[test]
    fn an_invalid_hash_is_an_error() {
        for none in
            ["", "not a hash", "$argon2id$v=19$m=64,t=1,p=1", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ", "$2b$10$x"]
        {
            assert_eq!(
                hasher(CHEAP).verify("x", none),
                Err(PasswordError::Failed("a stored password hash is invalid")),
                "{none}"
            );
        }
    }

    #[test]
    fn invalid_parameters_are_refused() {
        assert!(Hasher::new(Cost { memory: 1, ..CHEAP }).is_err());
    }

    #[test]
    fn it_works_after_its_memory_was_wiped() {
        let mut hasher = hasher(CHEAP);
        let hash = hasher.hash("P44sw0rd").unwrap();
        assert_eq!(hasher.memory.len(), 64);
        hasher.wipe();
        assert_eq!(hasher.memory.capacity(), 0);
        assert_eq!(hasher.verify("P44sw0rd", &hash), Ok(true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Reuses memory that earlier passwords of any cost have used.
        #[test]
        fn it_agrees_with_the_argon2_crate(
            passwords in prop::collection::vec((".{0,50}", 8_u32..200, 1_u32..3, 1_u32..3), 1..6),
        ) {
            let mut own = hasher(CHEAP);
            for (password, memory, passes, lanes) in passwords {
                let params = Params::new(memory.max(8 * lanes), passes, lanes, None).unwrap();
                let crates = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let salt = SaltString::encode_b64(b"sixteen bytes of").unwrap();
                let theirs = crates.hash_password(password.as_bytes(), &salt).unwrap().to_string();
                prop_assert_eq!(own.verify(&password, &theirs), Ok(true));
                prop_assert_eq!(own.verify(&format!("{password}."), &theirs), Ok(false));
                let ours = own.hash(&password).unwrap();
                let parsed = PasswordHash::new(&ours).unwrap();
                prop_assert!(crates.verify_password(password.as_bytes(), &parsed).is_ok());
            }
        }
    }
}
