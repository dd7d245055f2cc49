use tokio::net::UnixListener;
use xtask_kit::{
    paths,
    ports::Ports,
    servers::redis::topology::{Kind, Setup, Topology},
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

/// To be kept while servers run.
type Kept = (Ports, Workdir, UnixListener);

/// Servers with TLS and a node's settings for them; `None` if Redis is not installed.
async fn over_tls(kind: Kind) -> Option<(Topology, RedisSettings, Kept)> {
    paths::which("redis-server")?;
    let (workdir, socket) = Workdir::create(&format!("test-tls-{kind}-{}", std::process::id()), None).unwrap();
    let mut ports = Ports::new().unwrap();
    let topology = Topology::start(Setup { kind, tls: true }, &workdir, &mut ports).await.unwrap();
    let mut settings = RedisSettings::default();
    for (name, value) in topology.env() {
        match name {
            "REDIS_URL" => settings.url = value,
            "REDIS_SENTINELS" => settings.sentinels = value.split(',').map(str::to_owned).collect(),
            "REDIS_MASTER" => settings.master = value,
            "REDIS_CA_FILE" => settings.ca_file = value,
            "REDIS_CERT_FILE" => settings.cert_file = value,
            "REDIS_KEY_FILE" => settings.key_file = value,
            "REDIS_SERVER_NAME" => settings.server_name = value,
            other => panic!("{other}"),
        }
    }
    let RedisTopology::One(target) = settings.topology().unwrap() else { panic!("one") };
    Connector::start(target, &Keys::new("jackfield"), &Lifecycle::new()).commands().await.unwrap();
    Some((topology, settings, (ports, workdir, socket)))
}

#[tokio::test]
async fn a_wrong_certificate_is_named() {
    let Some((topology, settings, _kept)) = over_tls(Kind::Single).await else { return };
    let tls = topology.tls.as_ref().unwrap();
    let wrong_name = RedisSettings { server_name: "other.example".into(), ..settings.clone() };
    let error = problem(wrong_name).await;
    assert!(error.starts_with("TLS handshake failed: ") && error.contains("not valid for name"), "{error}");
    let stranger = RedisSettings { ca_file: String::new(), ..settings.clone() };
    let error = problem(stranger).await;
    assert!(error.starts_with("TLS handshake failed: ") && error.contains("UnknownIssuer"), "{error}");
    let anonymous = RedisSettings { cert_file: String::new(), key_file: String::new(), ..settings.clone() };
    let error = problem(anonymous).await;
    assert!(error.contains("client certificate, set `redis.certFile`"), "{error}");
    let late = RedisSettings { cert_file: tls.file("expired-client.pem"), ..settings.clone() };
    let error = problem(late).await;
    assert!(error.starts_with("TLS handshake failed: ") && error.contains("CertificateExpired"), "{error}");
    let file = tls.file("expired-server.pem");
    topology.nodes[0].ask(&["CONFIG", "SET", "tls-cert-file", &file]).await.unwrap();
    let error = problem(settings).await;
    assert!(error.starts_with("TLS handshake failed: ") && error.ends_with("Expired"), "{error}");
}

#[tokio::test]
async fn with_sentinels_over_tls_it_is_named_who_refuses() {
    let Some((topology, settings, _kept)) = over_tls(Kind::Sentinel).await else { return };
    let (sentinels, master) = (topology.sentinels.iter(), topology.nodes[0].port);
    let of_sentinels = |problem: &str| {
        let mut all: Vec<_> =
            sentinels.clone().map(|sentinel| format!("sentinel 127.0.0.1:{}: {problem}", sentinel.port)).collect();
        all.sort();
        all.join("; ")
    };
    let wrong = |url: &String| url.replace("sentinel-secret", "wrong");
    let sentinels = settings.sentinels.iter().map(wrong).collect();
    let error = problem(RedisSettings { sentinels, ..settings.clone() }).await;
    assert_eq!(error, of_sentinels("Redis refuses the user and password of `redis.sentinels`"));
    let url = settings.url.replace("secret", "wrong");
    let error = problem(RedisSettings { url, ..settings.clone() }).await;
    let expected = "which sentinels name as the master: Redis refuses the user and password of `redis.url`";
    assert_eq!(error, format!("127.0.0.1:{master}, {expected}"));
    let error = problem(RedisSettings { ca_file: String::new(), ..settings.clone() }).await;
    assert_eq!(error.matches("TLS handshake failed: ").count(), 3, "{error}");
    for sentinel in &topology.sentinels {
        sentinel.ask(&["ACL", "SETUSER", "jack@field", "-sentinel|master"]).await.unwrap();
    }
    let error = problem(settings).await;
    assert_eq!(error.matches("has no permissions to run the 'sentinel|master' command").count(), 3, "{error}");
}
