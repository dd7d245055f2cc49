//! The duration of a refusal must not reveal whether the address is known.

use std::time::{Duration, Instant};

use crate::harness::{Database, TestServer};

const ROUNDS: usize = 15;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_takes_as_long_as_a_known_one() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).set("login.failures=0").start().await;
    server.register("ann@mail.com").await.ok(201);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // Alternating, so that other load on the machine slows both.
        for (times, email) in [(&mut known, "ann@mail.com"), (&mut unknown, "bob@mail.com")] {
            let start = Instant::now();
            server.login(email, "wrong").await.error(401, "invalid_credentials");
            times.push(start.elapsed());
        }
    }
    let (known, unknown) = (median(known), median(unknown));
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "known {known:?}, unknown {unknown:?}");
    assert!(unknown > Duration::from_millis(2), "nothing was hashed: {unknown:?}");
}
