use xtask_kit::{
    paths,
    ports::Ports,
    servers::redis::topology::{Kind, Topology},
    workdir::Workdir,
};

use super::*;
use crate::redis::{
    fake::{Fake, list},
    settings::RedisSettings,
    target::RedisTopology,
};

/// Why there is no connection.
async fn problem(settings: RedisSettings) -> String {
    let RedisTopology::One(target) = settings.topology().unwrap() else { panic!("one") };
    let connector = Connector::start(target, &Keys::new("jackfield"), &Lifecycle::new());
    connector.commands().await.err().expect("refused").to_string()
}

fn at(url: String) -> RedisSettings {
    RedisSettings { url, ..RedisSettings::default() }
}

#[tokio::test]
async fn servers_of_another_kind_are_named() {
    let mode = async |mode: &'static str| {
        let fake = Fake::start(move |_| Some(list(&["mode", mode, "role", "master"]))).await;
        problem(at(fake.url())).await
    };
    assert_eq!(mode("cluster").await, "this is a node of a Redis Cluster: set `redis.cluster`");
    let sentinel = "this is a sentinel: name it in `redis.sentinels`, with `redis.master`";
    assert_eq!(mode("sentinel").await, sentinel);
    let page = Fake::start(|_| Some("HTTP/1.1 400 Bad Request\r\n\r\n".into())).await;
    assert!(problem(at(page.url())).await.contains("this is no Redis"));
    let frozen = Fake::start(|_| None).await;
    assert_eq!(problem(at(frozen.url())).await, "no answer within 1s");
    assert!(problem(at(Fake::nowhere().url())).await.contains("refused"));
}

#[tokio::test]
async fn a_refused_login_names_the_setting_and_not_the_login() {
    let fake = Fake::start(|_| Some("-WRONGPASS invalid username-password pair or user is disabled.\r\n".into())).await;
    let login = fake.url().replace("//", "//jack:secret@");
    assert_eq!(problem(at(login.clone())).await, "Redis refuses the user and password of `redis.url`");
    let settings = RedisSettings { sentinels: vec![login], master: "main".into(), ..RedisSettings::default() };
    let expected =
        format!("sentinel 127.0.0.1:{}: Redis refuses the user and password of `redis.sentinels`", fake.port);
    assert_eq!(problem(settings).await, expected);
}

#[tokio::test]
async fn a_wrong_certificate_is_named() {
    if paths::which("redis-server").is_none() {
        return;
    }
    let workdir = Workdir::create(&format!("test-tls-{}", std::process::id()), None).unwrap();
    let mut ports = Ports::new().unwrap();
    let topology = Topology::start(Kind::Tls, &workdir.0, &mut ports).await.unwrap();
    let mut settings = RedisSettings::default();
    for (name, value) in topology.env() {
        match name {
            "REDIS_URL" => settings.url = value,
            "REDIS_CA_FILE" => settings.ca_file = value,
            "REDIS_CERT_FILE" => settings.cert_file = value,
            "REDIS_KEY_FILE" => settings.key_file = value,
            "REDIS_SERVER_NAME" => settings.server_name = value,
            _ => {}
        }
    }
    let RedisTopology::One(target) = settings.topology().unwrap() else { panic!("one") };
    Connector::start(target, &Keys::new("jackfield"), &Lifecycle::new()).commands().await.unwrap();
    let wrong_name = RedisSettings { server_name: "other.example".into(), ..settings.clone() };
    let error = problem(wrong_name).await;
    assert!(error.starts_with("TLS handshake failed: ") && error.contains("not valid for name"), "{error}");
    let stranger = RedisSettings { ca_file: String::new(), ..settings.clone() };
    let error = problem(stranger).await;
    assert!(error.starts_with("TLS handshake failed: ") && error.contains("UnknownIssuer"), "{error}");
    let anonymous = RedisSettings { cert_file: String::new(), key_file: String::new(), ..settings.clone() };
    let error = problem(anonymous).await;
    assert!(error.contains("client certificate, set `redis.certFile`"), "{error}");
}
