//! Who tries too often, and who only signs in often.

use futures_util::future::join_all;

use crate::harness::{Database, TestServer};

const PASSWORD: &str = "P44sw0rd";
/// For many who come at once: on a busy machine the last of them waits long for a turn.
const PATIENT: &str = "password.wait=60s";

fn retry_after(reply: &crate::harness::Reply) -> u64 {
    reply.header("retry-after").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_logins_are_limited_by_address() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).set("login.failures=3").set("login.window=300s").start().await;
    server.register("ann@mail.com").await.ok(201);
    for email in ["ann@mail.com", " ANN@mail.com", "Ann@Mail.com"] {
        server.login(email, "wrong").await.error(401, "invalid_credentials");
    }
    let refused = server.login("ann@mail.com", PASSWORD).await.error(429, "too_many_attempts");
    assert!((90..=100).contains(&retry_after(&refused)), "{}", retry_after(&refused));
    server.login("bob@mail.com", "wrong").await.error(401, "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_is_limited_as_a_known_one_is() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).set("login.failures=1").start().await;
    server.login("nobody@mail.com", "wrong").await.error(401, "invalid_credentials");
    server.login("nobody@mail.com", "wrong").await.error(429, "too_many_attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_the_same_time_do_not_slip_through() {
    let database = Database::sqlite();
    let server =
        TestServer::on(&database).set("login.failures=3").set("password.concurrency=1").set(PATIENT).start().await;
    let replies = join_all((0..30).map(|_| server.login("ann@mail.com", "wrong"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 401).count(), 3);
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 27);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_succeed_do_not_count() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).set("login.failures=1").set(PATIENT).start().await;
    server.register("ann@mail.com").await.ok(201);
    for reply in join_all((0..60).map(|_| server.login("ann@mail.com", PASSWORD))).await {
        reply.ok(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_are_limited_by_client() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).set("register.perAddress=2").set("proxy.hops=1").start().await;
    let from = |client: &str, email: &str| {
        let body = serde_json::json!({ "email": email, "password": PASSWORD, "fullName": "Ann" });
        let request = server.http.post(server.url("/api/auth/register")).header("x-forwarded-for", client).json(&body);
        server.send(request)
    };
    from("9.9.9.9, 1.1.1.1", "a@mail.com").await.ok(201);
    from("8.8.8.8, 1.1.1.1", "a@mail.com").await.error(400, "email_taken");
    let refused = from("7.7.7.7, 1.1.1.1", "b@mail.com").await.error(429, "too_many_attempts");
    assert!((1..=1_800).contains(&retry_after(&refused)));
    from("2.2.2.2", "b@mail.com").await.ok(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zero_is_no_limit() {
    let database = Database::sqlite();
    let plan = TestServer::on(&database).set("login.failures=0").set("register.perAddress=0");
    let server = plan.start().await;
    for _ in 0..15 {
        server.login("ann@mail.com", "wrong").await.error(401, "invalid_credentials");
    }
    server.register("ann@mail.com").await.ok(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_would_wait_too_long_for_a_turn_is_told_so() {
    let database = Database::sqlite();
    let plan = TestServer::on(&database).set("password.concurrency=1").set("password.wait=1ms");
    let server = plan.start().await;
    let server = &server;
    let try_in = |n| async move { server.login(&format!("u{n}@mail.com"), "wrong").await };
    let replies = join_all((0..20).map(try_in)).await;
    let busy: Vec<_> = replies.into_iter().filter(|reply| reply.status != 401).collect();
    assert!(!busy.is_empty());
    for reply in busy {
        assert!(retry_after(&reply.error(503, "unavailable")) >= 1);
    }
}
