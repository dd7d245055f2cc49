//! Clients that try too often, and clients that only sign in often.

use futures_util::future::join_all;

use crate::harness::{Database, Reply, TestServer};

const PASSWORD: &str = "P44sw0rd";
/// For many requests at once: on a busy machine the last of them waits long for a turn.
const PATIENT: &str = "password.wait=60s";

fn retry_after(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().unwrap()
}

/// Signs in from the client address `client`; the server must trust one proxy.
async fn login_from(server: &TestServer, client: &str, email: &str, password: &str) -> Reply {
    let body = serde_json::json!({ "email": email, "password": password });
    let request = server.http.post(server.url("/api/auth/login")).header("x-forwarded-for", client);
    server.send(request.json(&body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_logins_are_limited_by_account() {
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
async fn spraying_passwords_over_many_accounts_is_stopped() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).set("proxy.hops=1").start().await;
    server.register("ann@mail.com").await.ok(201);
    let mut tried = 0;
    for number in 0..299 {
        let reply = login_from(&server, "6.6.6.6", &format!("user{number}@mail.com"), "Passw0rd!").await;
        if reply.status == 429 {
            assert!((1..=18).contains(&retry_after(&reply)), "{}", retry_after(&reply));
            break;
        }
        reply.error(401, "invalid_credentials");
        tried += 1;
    }
    // One attempt comes back every 18 s.
    assert!((50..60).contains(&tried), "{tried} accounts were tried");
    login_from(&server, "7.7.7.7", "ann@mail.com", PASSWORD).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stranger_locks_the_owner_out() {
    let database = Database::sqlite();
    let plan = TestServer::on(&database).set("proxy.hops=1").set("login.failuresPerAccount=20");
    let server = plan.start().await;
    server.register("ann@mail.com").await.ok(201);
    let wrong = async |client: &str| login_from(&server, client, "ann@mail.com", "wrong").await;
    for _ in 0..10 {
        wrong("6.6.6.6").await.error(401, "invalid_credentials");
    }
    wrong("6.6.6.6").await.error(429, "too_many_attempts");
    login_from(&server, "7.7.7.7", "ann@mail.com", PASSWORD).await.ok(200);
    // Many strangers together: beyond the account's limit each has one attempt, and so has the owner's address.
    for number in 0..20 {
        wrong(&format!("8.8.8.{number}")).await.error(401, "invalid_credentials");
    }
    wrong("8.8.8.1").await.error(429, "too_many_attempts");
    login_from(&server, "7.7.7.7", "ann@mail.com", PASSWORD).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_with_many_requests_is_refused_and_others_are_served() {
    let database = Database::sqlite();
    let plan = TestServer::on(&database).set("proxy.hops=1").set("password.concurrency=1").set("password.perAddress=4");
    let server = plan.set("login.failuresPerAddress=0").set("password.wait=20s").start().await;
    let server = &server;
    let crowd = (0..100).map(|number| async move {
        let reply = login_from(server, "6.6.6.6", &format!("user{number}@mail.com"), "wrong").await;
        if reply.status == 401 {
            return true;
        }
        assert_eq!(retry_after(&reply.error(429, "too_many_attempts")), 1);
        false
    });
    let honest = login_from(server, "7.7.7.7", "ann@mail.com", "wrong");
    let (served, honest) = tokio::join!(join_all(crowd), honest);
    honest.error(401, "invalid_credentials");
    let refused = served.iter().filter(|served| !**served).count();
    assert!((1..100).contains(&refused), "{refused} of 100 were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_is_limited_as_a_known_one_is() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).set("login.failures=1").start().await;
    server.login("nobody@mail.com", "wrong").await.error(401, "invalid_credentials");
    server.login("nobody@mail.com", "wrong").await.error(429, "too_many_attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_guesses_do_not_slip_through() {
    let database = Database::sqlite();
    let plan = TestServer::on(&database).set("login.failures=3").set("password.concurrency=1");
    let server = plan.set("password.perAddress=0").set(PATIENT).start().await;
    let replies = join_all((0..30).map(|_| server.login("ann@mail.com", "wrong"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 401).count(), 3);
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 27);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successful_sign_ins_do_not_count() {
    let database = Database::sqlite();
    let server =
        TestServer::on(&database).set("login.failures=1").set("password.perAddress=0").set(PATIENT).start().await;
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
async fn resets_of_the_demo_users_by_other_sites_or_too_often_are_refused() {
    let database = Database::sqlite();
    let server = TestServer::on(&database).seeded().set("register.perAddress=3").start().await;
    let from_a_page =
        |site: &'static str| server.send(server.http.get(server.url("/api/seed")).header("sec-fetch-site", site));
    from_a_page("cross-site").await.error(403, "forbidden");
    for site in ["same-origin", "same-site", "none"] {
        from_a_page(site).await.ok(200);
    }
    let refused = server.get("/api/seed").await.error(429, "too_many_attempts");
    assert!((1..=1_200).contains(&retry_after(&refused)));
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
async fn a_sign_in_that_would_wait_too_long_is_refused() {
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
