//! Refresh tokens: exchanged once, repeated for a lost answer, and reuse ends the login.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jackfield_auth::rules::Email;
use serde_json::json;

use crate::harness::{
    Database, Reply, TestServer, on_both,
    revocations::{entries, list, of_login},
};

const INVALID: &str = "invalid_refresh_token";

on_both!(
    a_refresh_token_is_exchanged_for_the_next_one,
    a_lost_answer_is_forgiven,
    after_the_successor_was_used_its_predecessor_ends_the_login,
    after_the_overlap_the_predecessor_ends_the_login,
    a_much_older_token_ends_the_login,
    forged_tokens_of_a_known_login_change_nothing,
    what_is_no_refresh_token_is_refused_alike,
    a_login_has_an_absolute_end,
    an_inactive_user_gets_no_tokens,
    any_sequence_of_calls_follows_the_rules,
);

/// Moves the last rotation of every login into the past.
async fn let_the_overlap_pass(database: &Database) {
    let earlier = if database.is_sqlite() {
        "strftime('%Y-%m-%dT%H:%M:%fZ', rotated_at, '-10 seconds')"
    } else {
        "rotated_at - interval '10 seconds'"
    };
    database.execute(&format!("UPDATE logins SET rotated_at = {earlier}")).await;
}

/// A token of the same login with another number and another secret.
fn forged(genuine: &str, number: u32, secret: u8) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(genuine.strip_prefix("jfr_").unwrap()).unwrap();
    bytes[16..20].copy_from_slice(&number.to_be_bytes());
    bytes[20..].fill(secret);
    format!("jfr_{}", URL_SAFE_NO_PAD.encode(bytes))
}

async fn a_refresh_token_is_exchanged_for_the_next_one(database: Database) {
    let server = TestServer::on(&database).start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    let mut last = server.refresh(first.refresh_token()).await.ok(200);
    assert_eq!(last.body.as_object().unwrap().len(), 2, "token and refreshToken");
    assert_eq!(last.header("cache-control"), "no-store");
    for _ in 0..3 {
        let next = server.refresh(last.refresh_token()).await.ok(200);
        assert_ne!(next.refresh_token(), last.refresh_token());
        assert_ne!(next.claims().jti, last.claims().jti);
        assert_eq!((next.claims().sid, next.claims().sub), (first.claims().sid, first.claims().sub));
        server.check_status(next.token()).await.ok(200);
        last = next;
    }
    let login = server.login("ann@mail.com", "P44sw0rd").await.ok(200);
    assert_ne!(login.claims().sid, first.claims().sid);
    assert_eq!(database.count("SELECT count(*) FROM logins").await, 2, "no row for a refresh");
}

async fn a_lost_answer_is_forgiven(database: Database) {
    let server = TestServer::on(&database).start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    let lost = server.refresh(first.refresh_token()).await.ok(200);
    for _ in 0..3 {
        let again = server.refresh(first.refresh_token()).await.ok(200);
        assert_eq!(again.refresh_token(), lost.refresh_token());
        server.check_status(again.token()).await.ok(200);
    }
    server.refresh(lost.refresh_token()).await.ok(200);
}

/// Asserts that the login of these answers has ended, and that gateways were told so.
async fn assert_ended_by_reuse(
    server: &TestServer,
    list: &jackfield_cluster::revocations::Revocations,
    all: &[&Reply],
) {
    for reply in all {
        server.refresh(reply.refresh_token()).await.error(401, INVALID);
        server.check_status(reply.token()).await.error(401, "invalid_token");
    }
    let (claims, until) = (all[0].claims(), all.iter().map(|reply| reply.claims().exp).max().unwrap());
    assert_eq!(entries(list).await, [of_login(&claims.sub, &claims.sid, "revoked", until)]);
}

async fn after_the_successor_was_used_its_predecessor_ends_the_login(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    let other = server.login("ann@mail.com", "P44sw0rd").await.ok(200);
    let second = server.refresh(first.refresh_token()).await.ok(200);
    let third = server.refresh(second.refresh_token()).await.ok(200);
    assert!(entries(&list).await.is_empty());
    server.refresh(first.refresh_token()).await.error(401, INVALID);
    assert_ended_by_reuse(&server, &list, &[&first, &second, &third]).await;
    server.refresh(other.refresh_token()).await.ok(200);
}

async fn after_the_overlap_the_predecessor_ends_the_login(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    let second = server.refresh(first.refresh_token()).await.ok(200);
    let_the_overlap_pass(&database).await;
    server.refresh(first.refresh_token()).await.error(401, INVALID);
    assert_ended_by_reuse(&server, &list, &[&first, &second]).await;
}

async fn a_much_older_token_ends_the_login(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    let mut last = server.refresh(first.refresh_token()).await.ok(200);
    for _ in 0..20 {
        last = server.refresh(last.refresh_token()).await.ok(200);
    }
    server.refresh(first.refresh_token()).await.error(401, INVALID);
    assert_ended_by_reuse(&server, &list, &[&first, &last]).await;
}

async fn forged_tokens_of_a_known_login_change_nothing(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let mut last = server.register("ann@mail.com").await.ok(201);
    for _ in 0..2 {
        last = server.refresh(last.refresh_token()).await.ok(200);
    }
    for number in [0, 1, 2, 3, 4, u32::MAX] {
        for secret in [0, 7] {
            server.refresh(&forged(last.refresh_token(), number, secret)).await.error(401, INVALID);
        }
    }
    assert!(entries(&list).await.is_empty());
    server.refresh(last.refresh_token()).await.ok(200);
}

async fn what_is_no_refresh_token_is_refused_alike(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let good = ann.refresh_token();
    let mut unknown = URL_SAFE_NO_PAD.decode(&good[4..]).unwrap();
    unknown[7] ^= 1;
    let unknown = format!("jfr_{}", URL_SAFE_NO_PAD.encode(unknown));
    let reference = server.refresh(&unknown).await.error(401, INVALID);
    let long = "x".repeat(9_000);
    for bad in ["", "jfr_", &good[1..], &good[4..], &format!("{good}A"), &format!("{good}="), ann.token(), &long] {
        assert_eq!(server.refresh(bad).await.error(401, INVALID).text, reference.text, "{bad}");
    }
    for body in [json!({}), json!({ "refreshToken": 7 }), json!({ "refreshToken": good, "more": 1 })] {
        server.post("/api/auth/refresh", &body).await.error(400, "validation_failed");
    }
    server.refresh(good).await.ok(200);
}

async fn a_login_has_an_absolute_end(database: Database) {
    let server = TestServer::on(&database).set("login.maxAge=1h").start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    let end = first.claims().iat + 3_600;
    assert_eq!(first.claims().exp, end, "an access token ends with its login");
    let second = server.refresh(first.refresh_token()).await.ok(200);
    let renewed = server.check_status(first.token()).await.ok(200);
    assert_eq!((second.claims().exp, renewed.claims().exp), (end, end), "however often it is renewed");
    let past = if database.is_sqlite() { "'2020-01-01T00:00:00.000Z'" } else { "'2020-01-01T00:00:00Z'" };
    database.execute(&format!("UPDATE logins SET expires_at = {past}")).await;
    server.refresh(second.refresh_token()).await.error(401, INVALID);
    server.check_status(second.token()).await.error(401, "invalid_token");
    server.logout(second.token()).await.error(401, "invalid_token");
}

async fn an_inactive_user_gets_no_tokens(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let mut account = database.users().await.find_by_email(&Email::new("ann@mail.com")).await.unwrap().unwrap();
    account.user.is_active = false;
    database.reset(&[account.clone()]).await;
    server.refresh(ann.refresh_token()).await.error(401, INVALID);
    account.user.is_active = true;
    database.reset(&[account]).await;
    server.refresh(ann.refresh_token()).await.ok(200);
}

/// The same rules as the property test of `rotation`, through HTTP and the database.
async fn any_sequence_of_calls_follows_the_rules(database: Database) {
    let server = TestServer::on(&database).start().await;
    server.register("ann@mail.com").await.ok(201);
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    for _ in 0..6 {
        let first = server.login("ann@mail.com", "P44sw0rd").await.ok(200);
        let (mut tokens, mut access) = (vec![first.refresh_token().to_owned()], first.token().to_owned());
        let (mut is_open, mut is_within) = (true, true);
        for _ in 0..12 {
            let current = tokens.len() - 1;
            match next(8) {
                0 => {
                    let_the_overlap_pass(&database).await;
                    is_within = false;
                }
                1 => {
                    server.refresh(&forged(&tokens[0], next(9).try_into().unwrap(), 3)).await.error(401, INVALID);
                }
                2 if next(4) == 0 => {
                    server.logout(&access).await.ok(if is_open { 204 } else { 401 });
                    is_open = false;
                }
                _ => {
                    let presented = if next(3) > 0 { current } else { next(tokens.len()) };
                    let reply = server.refresh(&tokens[presented]).await;
                    match (is_open, current - presented) {
                        (true, 0) => {
                            tokens.push(reply.ok(200).refresh_token().to_owned());
                            is_within = true;
                        }
                        (true, 1) if is_within => {
                            let reply = reply.ok(200);
                            assert_eq!(reply.refresh_token(), tokens[current]);
                            access = reply.token().to_owned();
                        }
                        _ => {
                            reply.error(401, INVALID);
                            is_open = false;
                        }
                    }
                }
            }
            server.check_status(&access).await.ok(if is_open { 200 } else { 401 });
        }
    }
}
