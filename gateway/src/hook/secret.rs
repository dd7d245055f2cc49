//! The secrets that sign the calls of a hook, each from a file.
//!
//! Guarantees: a file that changes is read again, so that a secret is rotated without a restart; one that cannot be
//! read any more, or holds no secret, keeps the last good one and is logged once. No error shows a secret.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::io::AsyncReadExt as _;

use super::signature::{Key, signature};

/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Bytes of a decoded secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most bytes of a file that are read.
const MAX_FILE: u64 = 4_096;

/// All secrets of a hook. The first one signs first.
pub(super) struct Secrets(Vec<SecretFile>);

struct SecretFile {
    path: PathBuf,
    key: ArcSwap<Key>,
    /// The last read failed: logged once, not for every read.
    failing: AtomicBool,
}

impl Secrets {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file, and says what it must hold.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, String> {
        let read = |path: &PathBuf| {
            let text = fs::read(path).map_err(|error| error.to_string());
            let key = text.and_then(|text| parse(&text)).map_err(|error| refused(path, &error))?;
            Ok(SecretFile { path: path.clone(), key: ArcSwap::from_pointee(key), failing: AtomicBool::new(false) })
        };
        paths.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The signatures of a call, separated by a space.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|file| signature(&file.key.load(), id, timestamp, body));
        signatures.collect::<Vec<_>>().join(" ")
    }

    /// Reads the files again. `hook` is its name, for the log.
    pub(super) async fn reload(&self, hook: &str) {
        for file in &self.0 {
            file.reload(hook).await;
        }
    }
}

impl SecretFile {
    async fn reload(&self, hook: &str) {
        let read = async {
            let mut text = Vec::new();
            tokio::fs::File::open(&self.path).await?.take(MAX_FILE + 1).read_to_end(&mut text).await?;
            Ok::<_, std::io::Error>(text)
        };
        let key = read.await.map_err(|error| error.to_string()).and_then(|text| parse(&text));
        let had_failed = self.failing.swap(key.is_err(), Ordering::Relaxed);
        match key {
            Err(error) if !had_failed => {
                let error = refused(&self.path, &error);
                tracing::warn!(hook, error, "a hook's secret cannot be read again: keeping the last good one");
            }
            Err(_) => {}
            Ok(key) if *self.key.load_full() != key => {
                self.key.store(Arc::new(key));
                tracing::info!(hook, file = %self.path.display(), "a hook's secret has changed");
            }
            Ok(_) if had_failed => {
                tracing::info!(hook, file = %self.path.display(), "a hook's secret can be read again");
            }
            Ok(_) => {}
        }
    }
}

fn refused(path: &Path, error: &str) -> String {
    format!("`secretFile` {}: {error}", path.display())
}

fn parse(text: &[u8]) -> Result<Key, String> {
    let wrong = || {
        let (least, most) = (BYTES.start(), BYTES.end());
        format!(
            "must hold one line, `{PREFIX}` and {least} to {most} random bytes in base64, such as the output of \
             `echo {PREFIX}$(openssl rand -base64 32)`"
        )
    };
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let bytes = text.trim_end_matches(['\r', '\n']).strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    bytes.filter(|bytes| BYTES.contains(&bytes.len())).and_then(|bytes| Key::new(&bytes)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn other() -> String {
        format!("whsec_{}", STANDARD.encode([7; 32]))
    }

    #[test]
    fn a_secret_has_a_prefix_and_24_to_64_bytes() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        for good in [ONE, &format!("{ONE}\n"), &format!("{ONE}\r\n"), &of(24), &of(64)] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", "whsec_", &ONE[6..], &of(23), &of(65), &format!("{ONE} x"), &format!("{ONE}\n{ONE}"), "\u{e9}"]
        {
            let error = parse(bad.as_bytes()).err().unwrap();
            assert!(error.contains("openssl rand") && !error.contains("MfKQ"), "{error}");
        }
        assert!(parse(b"\xff").is_err());
    }

    #[tokio::test]
    async fn a_file_is_read_again_and_a_bad_one_keeps_the_last_good_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(Secrets::read(std::slice::from_ref(&path)).err().unwrap().contains("`secretFile`"));
        fs::write(&path, format!("{ONE}\n")).unwrap();
        let secrets = Secrets::read(std::slice::from_ref(&path)).unwrap();
        let first = secrets.sign("id", 1, b"{}");
        for bad in [Some("nothing good"), None] {
            match bad {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            secrets.reload("h").await;
            assert_eq!(secrets.sign("id", 1, b"{}"), first);
            assert!(secrets.0[0].failing.load(Ordering::Relaxed));
        }
        fs::write(&path, other()).unwrap();
        secrets.reload("h").await;
        assert_ne!(secrets.sign("id", 1, b"{}"), first);
        assert!(!secrets.0[0].failing.load(Ordering::Relaxed));
    }

    #[test]
    fn two_secrets_sign_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("new"), folder.path().join("old")];
        fs::write(&paths[0], other()).unwrap();
        fs::write(&paths[1], ONE).unwrap();
        let one = |path: &PathBuf| Secrets::read(std::slice::from_ref(path)).unwrap().sign("id", 5, b"body");
        let both = Secrets::read(&paths).unwrap().sign("id", 5, b"body");
        assert_eq!(both, format!("{} {}", one(&paths[0]), one(&paths[1])));
    }
}
