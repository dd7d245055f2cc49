//! Several services that start at the same time on one empty database.

use futures_util::future::join_all;

use crate::harness::{Database, TestServer, on_both};

on_both!(four_services_end_with_the_same_keys, invalid_settings_are_refused);

async fn four_services_end_with_the_same_keys(database: Database) {
    let servers = join_all((0..4).map(|_| TestServer::on(&database).seeded().start())).await;
    let sets = join_all(servers.iter().map(|server| server.get("/.well-known/jwks.json"))).await;
    assert!(sets.iter().all(|set| set.status == 200 && set.text == sets[0].text));

    let token = servers[0].login("test1@mail.com", "test123").await.ok(200).token().to_owned();
    for server in &servers {
        server.check_status(&token).await.ok(200);
    }
    // A service that starts after the others are gone accepts the token, too.
    drop(servers);
    let late = TestServer::on(&database).start().await;
    late.check_status(&token).await.ok(200);
    if database.url.starts_with("postgres") {
        assert_eq!(database.count("SELECT count(*) FROM signing_keys").await, 2);
        assert_eq!(database.count("SELECT count(*) FROM users").await, 2);
    }
}

async fn invalid_settings_are_refused(database: Database) {
    for (setting, named) in [
        ("database.url=mysql://u:secret@h/d", "database.url"),
        ("database.url=sqlite://:memory:", "database.url"),
        ("token.lifetime=0s", "token.lifetime"),
        ("password.wait=soon", "password.wait"),
    ] {
        let error = TestServer::on(&database).set(setting).try_start().await.err().unwrap().to_string();
        assert!(error.contains(named) && !error.contains("secret"), "{error}");
    }
}
