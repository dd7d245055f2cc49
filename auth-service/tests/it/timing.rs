//! The duration of a refusal must not reveal whether the address is known, or its user active, or a login open.
//!
//! The default is a few tries, to find gross differences on any machine. `TIMING_TRIES=1000` measures: it compares the
//! distributions with a rank test and prints them. Run that on an idle machine, one test at a time.

use std::time::{Duration, Instant};

use jackfield_auth::rules::Email;

use crate::harness::{Database, Reply, TestServer, on_both};

const TRIES: usize = 15;

on_both!(refused_sign_ins_take_the_same_time, refused_refreshes_take_the_same_time);

/// The number of tries to measure with, if that is set.
fn measured_tries() -> Option<usize> {
    std::env::var("TIMING_TRIES").ok().map(|tries| tries.parse().unwrap())
}

/// A kind of refusal, and how long each took.
struct Sample {
    name: &'static str,
    times: Vec<Duration>,
}

impl Sample {
    fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// The Mann-Whitney U test: the probability that a time of this kind is longer than one of `other`, and how many
    /// standard deviations that is from one half.
    fn compare(&self, other: &Self) -> (f64, f64) {
        let (n, m) = (self.times.len() as f64, other.times.len() as f64);
        let longer = |a: &Duration, b: &Duration| match a.cmp(b) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        let u: f64 = self.times.iter().map(|a| other.times.iter().map(|b| longer(a, b)).sum::<f64>()).sum();
        (u / (n * m), (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt())
    }
}

/// Times each kind of request as often as wanted, in turns, so that other load on the machine slows all of them.
async fn sample<const N: usize>(names: [&'static str; N], request: impl AsyncFn(usize) -> Reply) -> [Sample; N] {
    let mut samples = names.map(|name| Sample { name, times: Vec::new() });
    for round in 0..measured_tries().unwrap_or(TRIES) {
        for kind in 0..N {
            // Another order in every round: what comes first in it may be slower.
            let kind = (kind + round) % N;
            let start = Instant::now();
            request(kind).await;
            samples[kind].times.push(start.elapsed());
        }
    }
    samples
}

/// Asserts that no two kinds differ much, and if they were measured, that those of the same `class` do not differ.
fn assert_alike<const N: usize>(samples: &[Sample; N], class: [u8; N]) {
    for (at, one) in samples.iter().enumerate() {
        for (before, other) in samples[..at].iter().enumerate() {
            let (longer, deviations) = one.compare(other);
            let text = format!(
                "{} {:?}, {} {:?}: longer with p = {longer:.3}, {deviations:.1} standard deviations",
                one.name,
                one.median(),
                other.name,
                other.median()
            );
            println!("{text}");
            let is_alike = match measured_tries() {
                Some(_) => class[at] != class[before] || (0.45..0.55).contains(&longer),
                // If each of 15 took longer than each of the others, it would be 4.7.
                None => deviations.abs() < 4.0,
            };
            assert!(is_alike, "{text}");
        }
    }
}

async fn refused_sign_ins_take_the_same_time(database: Database) {
    let server = TestServer::on(&database).set("login.failures=0").set("login.failuresPerAddress=0").start().await;
    server.register("ann@mail.com").await.ok(201);
    server.register("eve@mail.com").await.ok(201);
    let mut inactive = database.users().await.find_by_email(&Email::new("eve@mail.com")).await.unwrap().unwrap();
    inactive.user.is_active = false;
    database.reset(&[inactive]).await;
    let emails = ["ann@mail.com", "bob@mail.com", "eve@mail.com"];
    let samples = sample(["wrong password", "unknown address", "inactive user"], async |kind| {
        server.login(emails[kind], "wrong").await.error(401, "invalid_credentials")
    });
    let samples = samples.await;
    assert_alike(&samples, [0, 0, 0]);
    assert!(samples.iter().all(|sample| sample.median() > Duration::from_millis(2)), "nothing was hashed");
}

async fn refused_refreshes_take_the_same_time(database: Database) {
    let server = TestServer::on(&database).start().await;
    let open = server.register("ann@mail.com").await.ok(201);
    let ended = server.login("ann@mail.com", "P44sw0rd").await.ok(200);
    server.logout(ended.token()).await.ok(204);
    // The last characters are of the secret, the first ones of the login.
    let forged = |token: &str, at: usize| {
        let mut token = token.to_owned();
        let other = if &token[at..=at] == "A" { "B" } else { "A" };
        token.replace_range(at..=at, other);
        token
    };
    let tokens = [forged(open.refresh_token(), 60), forged(open.refresh_token(), 20), ended.refresh_token().to_owned()];
    let samples = sample(["forged", "unknown login", "ended login"], async |kind| {
        server.refresh(&tokens[kind]).await.error(401, "invalid_refresh_token")
    });
    // An unknown login costs no row to read. Nobody can try ids: they have 74 random bits.
    assert_alike(&samples.await, [0, 1, 0]);
}
