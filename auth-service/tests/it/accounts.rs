//! Registration, sign-in, check-status and the demo users, on both databases.

use futures_util::future::join_all;
use jackfield_auth::{
    demo,
    passwords::{Cost, OWN, Passwords},
    rules::Email,
    settings::Password,
    users::{Account, User},
};
use jackfield_shared::{
    claims::{Claims, Role},
    lifecycle::Lifecycle,
    verify::{KeySource, Verifier},
};
use std::time::Duration;
use uuid::Uuid;

use crate::harness::{Database, TestServer, on_both};

const PASSWORD: &str = "P44sw0rd";

on_both!(
    register_then_login_then_check_status,
    gateways_accept_the_tokens,
    spellings_of_one_address_are_equal,
    of_concurrent_registrations_of_one_address_one_succeeds,
    a_refusal_does_not_reveal_whether_an_address_is_known,
    the_demo_users_sign_in_and_can_be_reset,
    without_seed_there_are_no_demo_users,
    an_inactive_user_is_refused,
    an_outdated_hash_is_replaced_at_login,
);

fn claims(token: &str) -> Claims {
    jsonwebtoken::dangerous::insecure_decode(token).unwrap().claims
}

async fn register_then_login_then_check_status(database: Database) {
    let server = TestServer::on(&database).start().await;
    let registered = server.register("ann@mail.com").await.ok(201);
    let user = &registered.body["user"];
    assert_eq!(user["email"], "ann@mail.com");
    assert_eq!(user["fullName"], "Ann Lee");
    assert_eq!(user["isActive"], true);
    assert_eq!(user["roles"], serde_json::json!(["USER"]));
    assert_eq!(user.as_object().unwrap().len(), 5, "nothing else of a user is shown");
    assert_eq!(user["id"].as_str().unwrap().parse::<Uuid>().unwrap().get_version_num(), 7);
    assert_eq!(registered.header("cache-control"), "no-store");

    let login = server.login("ann@mail.com", PASSWORD).await.ok(200);
    assert_eq!(&login.body["user"], user);
    assert_ne!(claims(login.token()).sid, claims(registered.token()).sid, "each login is one of its own");

    let renewed = server.check_status(login.token()).await.ok(200);
    assert_eq!(&renewed.body["user"], user);
    let (old, new) = (claims(login.token()), claims(renewed.token()));
    assert_eq!((&old.sid, &old.sub, &old.roles), (&new.sid, &new.sub, &new.roles));
    assert_ne!(old.jti, new.jti);
    assert!(new.exp >= old.exp && new.exp - new.iat == 7_200);
}

async fn gateways_accept_the_tokens(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let keys = KeySource::Url(server.url("/.well-known/jwks.json"));
    let verifier = Verifier::new(keys, Some("jackfield".into()), Some("jackfield".into()));
    let identity = verifier.verify(&format!("Bearer {}", ann.token())).await.unwrap();
    assert_eq!(&*identity.user_id, ann.body["user"]["id"].as_str().unwrap());
    assert_eq!((&*identity.name, identity.email.as_deref()), ("Ann Lee", Some("ann@mail.com")));
    assert_eq!(&*identity.roles, &[Box::<str>::from("USER")]);
}

async fn spellings_of_one_address_are_equal(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("  Ann@Mail.COM ").await.ok(201);
    assert_eq!(ann.body["user"]["email"], "ann@mail.com");
    server.register("ann@mail.com").await.error(400, "email_taken");
    server.login("ANN@MAIL.COM\n", PASSWORD).await.ok(200);
}

async fn of_concurrent_registrations_of_one_address_one_succeeds(database: Database) {
    let (one, other) = tokio::join!(TestServer::on(&database).start(), TestServer::on(&database).start());
    let rivals =
        (0..12).map(|n| if n % 2 == 0 { one.register("ann@mail.com") } else { other.register("ann@mail.com") });
    let replies = join_all(rivals).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        reply.error(400, "email_taken");
    }
}

async fn a_refusal_does_not_reveal_whether_an_address_is_known(database: Database) {
    let server = TestServer::on(&database).start().await;
    server.register("ann@mail.com").await.ok(201);
    let wrong = server.login("ann@mail.com", "p44sw0rd").await.error(401, "invalid_credentials");
    let unknown = server.login("bob@mail.com", "p44sw0rd").await.error(401, "invalid_credentials");
    assert_eq!(wrong.text, unknown.text);
    assert_eq!(wrong.body["message"], "Invalid Credentials");
    server.login("ann@mail.com", "").await.error(401, "invalid_credentials");
}

async fn the_demo_users_sign_in_and_can_be_reset(database: Database) {
    let server = TestServer::on(&database).seeded().start().await;
    let first = server.login("test1@mail.com", demo::PASSWORD).await.ok(200);
    assert_eq!(first.body["user"]["roles"], serde_json::json!(["ADMIN"]));
    let second = server.login("test2@mail.com", demo::PASSWORD).await.ok(200);
    assert_eq!(second.body["user"]["roles"], serde_json::json!(["ADMIN", "USER"]));

    // Give one of them a stored hash that cannot be parsed.
    let id: Uuid = first.body["user"]["id"].as_str().unwrap().parse().unwrap();
    let users = database.users().await;
    let before = users.find_by_email(&Email::new("test1@mail.com")).await.unwrap().unwrap().password_hash;
    users.replace_hash(id, &before, second.token()).await.unwrap();
    server.login("test1@mail.com", demo::PASSWORD).await.error(500, "internal");
    let reset = server.get("/api/seed").await.ok(200);
    assert_eq!(reset.body["users"][0], first.body["user"]);
    server.login("test1@mail.com", demo::PASSWORD).await.ok(200);

    // A start leaves existing demo users unchanged.
    let again = TestServer::on(&database).seeded().start().await;
    assert_eq!(again.login("test1@mail.com", demo::PASSWORD).await.ok(200).body["user"], first.body["user"]);
}

async fn without_seed_there_are_no_demo_users(database: Database) {
    let server = TestServer::on(&database).start().await;
    server.login("test1@mail.com", demo::PASSWORD).await.error(401, "invalid_credentials");
    server.get("/api/seed").await.error(404, "not_found");
}

async fn an_inactive_user_is_refused(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let users = database.users().await;
    let mut account = users.find_by_email(&Email::new("ann@mail.com")).await.unwrap().unwrap();
    account.user.is_active = false;
    database.reset(&[account]).await;
    server.check_status(ann.token()).await.error(401, "user_inactive");
    server.login("ann@mail.com", PASSWORD).await.error(401, "user_inactive");
    server.login("ann@mail.com", "wrong").await.error(401, "invalid_credentials");
}

async fn an_outdated_hash_is_replaced_at_login(database: Database) {
    let server = TestServer::on(&database).start().await;
    let limits = Password { concurrency: 1, per_address: 0, wait: Duration::from_secs(5) };
    let cost = Cost { memory: 64, passes: 1, lanes: 1 };
    let cheap = Passwords::new(cost, &limits, &Lifecycle::new()).await.unwrap();
    let (password_hash, _) = cheap.turn(OWN).await.unwrap().hash(PASSWORD.into()).await.unwrap();
    let user = User::new(&Email::new("old@mail.com"), "Old", &[Role::User]);
    let users = database.users().await;
    users.insert(&Account { user, password_hash }).await.unwrap();
    server.login("old@mail.com", "wrong").await.error(401, "invalid_credentials");
    server.login("old@mail.com", PASSWORD).await.ok(200);
    let stored = users.find_by_email(&Email::new("old@mail.com")).await.unwrap().unwrap().password_hash;
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    server.login("old@mail.com", PASSWORD).await.ok(200);
    assert_eq!(users.find_by_email(&Email::new("old@mail.com")).await.unwrap().unwrap().password_hash, stored);
}
