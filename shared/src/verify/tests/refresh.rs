//! When an issuer's keys are loaded again, and what its tokens get meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, jwk::JwkSet};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    time::{Instant, advance, sleep, timeout},
};

use super::signer::{Signer, claims, jwks, source};
use crate::{
    jwks::FetchError,
    lifecycle::Lifecycle,
    verify::{
        IssuerConfig, KeySource, TokenError, Verifier,
        keys::{COOLDOWN, Keys, LOAD_TIMEOUT, REFRESH},
        source::Load,
    },
};

const MOMENT: Duration = Duration::from_millis(1);

/// An issuer that takes its time.
#[derive(Default)]
struct Remote {
    /// `None` while it is away.
    set: parking_lot::Mutex<Option<JwkSet>>,
    delay: parking_lot::Mutex<Duration>,
    loads: AtomicUsize,
}

#[async_trait]
impl Load for Arc<Remote> {
    async fn load(&self) -> Result<JwkSet, FetchError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let delay = *self.delay.lock();
        sleep(delay).await;
        self.set.lock().clone().ok_or(FetchError::Malformed)
    }
}

struct Scene {
    remote: Arc<Remote>,
    keys: Arc<Keys>,
    lifecycle: Lifecycle,
}

impl Scene {
    /// Keys that are kept fresh, after their first load.
    async fn new(signers: &[&Signer]) -> Self {
        let scene = Self::idle(signers);
        scene.lifecycle.spawn(Arc::clone(&scene.keys).keep_fresh(scene.lifecycle.stopping()));
        sleep(MOMENT).await;
        scene
    }

    /// Keys that nobody keeps fresh.
    fn idle(signers: &[&Signer]) -> Self {
        let remote = Arc::new(Remote::default());
        let keys = Keys::loaded_by("test".into(), vec![Algorithm::EdDSA], Arc::new(Arc::clone(&remote)));
        let scene = Self { remote, keys, lifecycle: Lifecycle::new() };
        scene.publish(signers);
        scene
    }

    fn publish(&self, signers: &[&Signer]) {
        *self.remote.set.lock() = Some(jwks(signers));
    }

    fn go_away(&self) {
        *self.remote.set.lock() = None;
    }

    fn delay(&self, delay: Duration) {
        *self.remote.delay.lock() = delay;
    }

    fn loads(&self) -> usize {
        self.remote.loads.load(Ordering::Relaxed)
    }

    async fn ask(&self, kid: &str) -> Result<(), TokenError> {
        self.keys.with(Some(kid)).await.map(|_| ())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

fn pair() -> [Signer; 2] {
    [Signer::ed25519(0, "old"), Signer::ed25519(1, "new")]
}

const UNAVAILABLE: Result<(), TokenError> = Err(TokenError::KeysUnavailable);
const INVALID: Result<(), TokenError> = Err(TokenError::Invalid);

#[tokio::test(start_paused = true)]
async fn the_set_is_loaded_at_the_start_and_then_regularly() {
    let [old, new] = pair();
    let scene = Scene::new(&[&old]).await;
    let first = scene.keys.current();
    scene.publish(&[&old]);
    sleep(REFRESH).await;
    assert!(Arc::ptr_eq(&first, &scene.keys.current()), "nothing has changed");
    scene.publish(&[&old, &new]);
    sleep(REFRESH).await;
    assert_eq!((scene.ask("old").await, scene.ask("new").await, scene.loads()), (Ok(()), Ok(()), 3));
}

#[tokio::test(start_paused = true)]
async fn all_that_wait_for_a_new_key_share_one_load() {
    let [old, new] = pair();
    let scene = Scene::new(&[&old]).await;
    advance(COOLDOWN).await;
    scene.delay(Duration::from_secs(1));
    scene.publish(&[&old, &new]);
    let (answers, known) = tokio::join!(join_all((0..100).map(|_| scene.ask("new"))), async {
        sleep(MOMENT).await;
        timeout(MOMENT, scene.ask("old")).await
    });
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((known, scene.loads()), (Ok(Ok(())), 2), "tokens with known keys do not wait");
}

#[tokio::test(start_paused = true)]
async fn random_kids_cost_one_load_per_cooldown_and_keep_no_new_key_away() {
    let [old, new] = pair();
    let scene = Scene::new(&[&old]).await;
    for second in 0..100 {
        for n in 0..20 {
            assert_ne!(scene.ask(&format!("random-{second}-{n}")).await, Ok(()));
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!((9..=11).contains(&scene.loads()), "{}", scene.loads());

    scene.publish(&[&old, &new]);
    let before = Instant::now();
    loop {
        match scene.ask("new").await {
            Ok(()) => break,
            refused => assert_eq!(refused, UNAVAILABLE, "a new key is never refused for good"),
        }
        let _ = scene.ask(&format!("random-{:?}", before.elapsed())).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(before.elapsed() <= COOLDOWN, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_invalid_once_a_set_without_it_was_loaded_for_it() {
    let [old, new] = pair();
    let scene = Scene::new(&[&new]).await;
    assert_eq!(scene.ask("old").await, UNAVAILABLE, "the first load may have come too early");
    advance(COOLDOWN).await;
    for _ in 0..5 {
        assert_eq!(scene.ask("old").await, INVALID);
    }
    assert_eq!((scene.ask("other").await, scene.loads()), (UNAVAILABLE, 2));
    scene.publish(&[&old, &new]);
    advance(COOLDOWN).await;
    assert_eq!(scene.ask("old").await, Ok(()));
    assert_eq!(scene.keys.with(None).await.err(), Some(TokenError::Invalid), "no one knows which of two keys");
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_away_the_last_keys_stay_and_others_are_unavailable() {
    let [old, new] = pair();
    let scene = Scene::new(&[&old]).await;
    scene.go_away();
    sleep(COOLDOWN).await;
    assert_eq!((scene.ask("new").await, scene.ask("old").await), (UNAVAILABLE, Ok(())));
    sleep(REFRESH * 3).await;
    assert_eq!(scene.ask("old").await, Ok(()));
    scene.publish(&[&old, &new]);
    sleep(COOLDOWN).await;
    assert_eq!(scene.ask("new").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_ends_and_known_keys_do_not_wait_for_it() {
    let [old, _] = pair();
    let scene = Scene::new(&[&old]).await;
    scene.delay(Duration::MAX);
    advance(COOLDOWN).await;
    let began = Instant::now();
    let (unknown, known) = tokio::join!(scene.ask("new"), timeout(MOMENT, scene.ask("old")));
    assert_eq!((unknown, known), (UNAVAILABLE, Ok(Ok(()))));
    assert_eq!(began.elapsed().as_secs(), LOAD_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_load_goes_on_when_the_connection_that_caused_it_closes() {
    let [old, new] = pair();
    let scene = Scene::new(&[&old]).await;
    scene.delay(Duration::from_secs(1));
    scene.publish(&[&old, &new]);
    advance(COOLDOWN).await;
    assert!(timeout(MOMENT, scene.ask("random")).await.is_err(), "it closes");
    sleep(Duration::from_secs(2)).await;
    assert_eq!((scene.ask("new").await, scene.loads()), (Ok(()), 2));
}

#[tokio::test(start_paused = true)]
async fn without_keys_loading_is_tried_again_less_and_less_often() {
    let [old, _] = pair();
    let scene = Scene::idle(&[&old]);
    scene.go_away();
    assert!(!scene.keys.is_tried());
    scene.lifecycle.spawn(Arc::clone(&scene.keys).keep_fresh(scene.lifecycle.stopping()));
    sleep(Duration::from_millis(2_600)).await;
    assert!(scene.keys.is_tried() && !scene.keys.is_loaded());
    assert_eq!((scene.loads(), scene.ask("old").await), (3, UNAVAILABLE), "at 0, 0.5 and 1.5 s");
    sleep(Duration::from_secs(60)).await;
    assert!((14..=16).contains(&scene.loads()), "{}", scene.loads());
    scene.publish(&[&old]);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.ask("old").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn keys_are_loaded_for_the_first_token_even_if_nobody_keeps_them_fresh() {
    let [old, _] = pair();
    let scene = Scene::idle(&[&old]);
    assert_eq!(scene.ask("old").await, Ok(()));
    scene.delay(Duration::from_secs(1));
    advance(COOLDOWN).await;
    // The load waits for somebody who needs it, and is not begun again.
    assert!(timeout(MOMENT, scene.ask("random")).await.is_err());
    assert_eq!((scene.ask("random").await, scene.loads()), (INVALID, 2));
}

#[tokio::test]
async fn an_issuer_that_hangs_delays_no_token_of_another_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    let lifecycle = Lifecycle::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let (stop, hangs) = (lifecycle.stopping(), async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 1_024]).await;
            counter.fetch_add(1, Ordering::Relaxed);
            open.push(socket);
        }
    });
    lifecycle.spawn(async move { stop.run_until_cancelled(hangs).await });
    let [fine, other] = pair();
    let others = vec![
        IssuerConfig::new(KeySource::Url(url), Some("hangs".into()), None),
        IssuerConfig::new(source(&[&fine]), Some("fine".into()), None),
    ];
    let verifier = Verifier::for_issuers(None, others);
    lifecycle.spawn(Arc::clone(&verifier).keep_fresh(lifecycle.stopping()));
    assert!(!verifier.ready(), "not before every issuer had its chance");
    let (hanging, passing) = (other.sign(&claims("hangs", "u")), fine.sign(&claims("fine", "u")));
    let waits = join_all((0..50).map(|_| verifier.verify(&hanging)));
    let passes = async {
        while asked.load(Ordering::Relaxed) == 0 {
            sleep(MOMENT).await;
        }
        let began = Instant::now();
        for _ in 0..10 {
            assert!(verifier.verify(&passing).await.is_ok());
        }
        began.elapsed()
    };
    let (waited, passed) = tokio::join!(waits, passes);
    assert!(waited.iter().all(|result| *result == Err(TokenError::KeysUnavailable)));
    assert!(passed < Duration::from_secs(2), "{passed:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(verifier.ready(), "the other issuer's users can be served");
    lifecycle.finish(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn keys_in_a_file_are_read_again() {
    let [old, new] = pair();
    let path = std::env::temp_dir().join(format!("jwks-{}.json", crate::ids::new_id()));
    let write = |signers: &[&Signer]| std::fs::write(&path, serde_json::to_vec(&jwks(signers)).unwrap()).unwrap();
    let file = KeySource::File(path.clone());
    let keys = Keys::new("file".into(), file, vec![Algorithm::EdDSA], &reqwest::Client::new());
    let ask = async |kid: &str| keys.with(Some(kid)).await.map(|_| ());
    assert_eq!(ask("old").await, UNAVAILABLE);
    write(&[&old]);
    advance(COOLDOWN).await;
    assert_eq!(ask("old").await, Ok(()));
    write(&[&new]);
    advance(COOLDOWN).await;
    assert_eq!((ask("new").await, ask("old").await), (Ok(()), UNAVAILABLE));
    std::fs::remove_file(&path).unwrap();
    advance(COOLDOWN).await;
    assert_eq!((ask("old").await, ask("new").await), (UNAVAILABLE, Ok(())));
}
