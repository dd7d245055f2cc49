//! From the settings `redis.…` to the Redis they describe. Combinations that contradict each other are refused.

use std::sync::Arc;

use jackfield_shared::settings::SettingsError;

use super::{
    settings::RedisSettings,
    target::{Address, Endpoint, Login, Master, Parsed, Place, RedisTarget, RedisTopology},
    tls::{TlsFiles, wrong},
};

/// See the module.
pub(super) fn of(settings: &RedisSettings) -> Result<RedisTopology, SettingsError> {
    refuse_combinations(settings)?;
    if settings.sentinels.is_empty() { addresses(settings) } else { masters(settings) }
}

fn refuse_combinations(settings: &RedisSettings) -> Result<(), SettingsError> {
    let RedisSettings { url, urls, cluster, sentinels, master, prefix, .. } = settings;
    let (has_url, has_urls) = (!url.is_empty(), !urls.is_empty());
    let (has_sentinels, has_master) = (!sentinels.is_empty(), !master.is_empty());
    match () {
        () if has_sentinels && !has_master => Err(wrong("redis.sentinels", "needs `redis.master`")),
        () if has_master && !has_sentinels => Err(wrong("redis.master", "needs `redis.sentinels`")),
        () if has_sentinels && has_urls => {
            Err(wrong("redis.urls", "does not go with `redis.sentinels`: name the masters in `redis.master`"))
        }
        () if has_sentinels && *cluster => {
            Err(wrong("redis.cluster", "does not go with `redis.sentinels`: a Cluster needs no sentinels"))
        }
        () if has_url && has_urls => Err(wrong("redis.urls", "does not go with `redis.url`: set one of them")),
        () if !has_url && !has_urls && !has_sentinels => {
            Err(wrong(if *cluster { "redis.cluster" } else { "redis.url" }, "needs `redis.url` or `redis.urls`"))
        }
        // They mark the part of a name that decides about its place in a Redis Cluster.
        () if prefix.contains(['{', '}']) => Err(wrong("redis.prefix", "must not contain { or }")),
        () => Ok(()),
    }
}

/// One, several, or a Cluster.
fn addresses(settings: &RedisSettings) -> Result<RedisTopology, SettingsError> {
    let (key, urls) = match settings.urls.as_slice() {
        [] => ("redis.url", std::slice::from_ref(&settings.url)),
        urls => ("redis.urls", urls),
    };
    let parsed = parse_all(key, urls)?;
    if settings.cluster {
        if parsed.iter().any(|parsed| parsed.login.database != 0) {
            return Err(wrong(key, "must name no database but 0: a Redis Cluster has no other"));
        }
        if parsed.iter().any(|parsed| matches!(parsed.address, Address::Unix(_))) {
            return Err(wrong(key, "must be hosts and ports: the nodes of a Redis Cluster have no other addresses"));
        }
        let login = |parsed: &Parsed| (parsed.login.user.clone(), parsed.login.password.clone());
        if parsed.windows(2).any(|pair| login(&pair[0]) != login(&pair[1])) {
            return Err(wrong(key, "must have the same user and password everywhere: so do all nodes of a Cluster"));
        }
    }
    let files = files(settings);
    let tls = if parsed.iter().any(|parsed| parsed.is_encrypted) {
        Some(files.read()?)
    } else {
        files.refuse(key)?;
        None
    };
    let targets: Result<Vec<_>, _> = parsed
        .into_iter()
        .map(|parsed| {
            let endpoint = parsed.with(key, tls.as_ref())?;
            Ok(RedisTarget(if settings.cluster { Place::Node(endpoint) } else { Place::Address(endpoint) }))
        })
        .collect();
    let mut targets = targets?;
    Ok(match targets.len() {
        _ if settings.cluster => RedisTopology::Cluster(targets),
        1 => RedisTopology::One(targets.remove(0)),
        _ => RedisTopology::Several(targets),
    })
}

/// One master or several that sentinels keep.
fn masters(settings: &RedisSettings) -> Result<RedisTopology, SettingsError> {
    let sentinels = parse_all("redis.sentinels", &settings.sentinels)?;
    if sentinels.iter().any(|sentinel| matches!(sentinel.address, Address::Unix(_))) {
        return Err(wrong("redis.sentinels", "must be hosts and ports"));
    }
    if sentinels.iter().any(|sentinel| sentinel.login.database != 0) {
        return Err(wrong("redis.sentinels", "must name no database: a sentinel has none"));
    }
    let access = match settings.url.as_str() {
        "" => {
            Parsed { address: Address::Tcp { host: "".into(), port: 0 }, login: Login::default(), is_encrypted: false }
        }
        url => Endpoint::parse("redis.url", url)?,
    };
    if matches!(access.address, Address::Unix(_)) {
        return Err(wrong("redis.url", "must not be a socket file: the sentinels name hosts and ports"));
    }
    let has_tls_sentinels = sentinels.iter().any(|sentinel| sentinel.is_encrypted);
    if has_tls_sentinels && !access.is_encrypted {
        return Err(wrong("redis.url", "must begin with rediss:// as `redis.sentinels` does"));
    }
    let files = files(settings);
    let tls = if access.is_encrypted {
        Some(files.read()?)
    } else {
        files.refuse("redis.url")?;
        None
    };
    // The host of `redis.url` is not used, so it need not be a name that a certificate can have.
    let access = Endpoint { key: "redis.url", address: access.address, login: access.login.into(), tls: tls.clone() };
    let sentinels: Result<Vec<_>, _> =
        sentinels.into_iter().map(|sentinel| sentinel.with("redis.sentinels", tls.as_ref())).collect();
    let sentinels: Arc<[Endpoint]> = sentinels?.into();
    let mut names: Vec<&str> = settings.master.split(',').map(str::trim).collect();
    if names.contains(&"") {
        return Err(wrong("redis.master", "must be a name, or several with commas"));
    }
    if has_duplicate(&names) {
        return Err(wrong("redis.master", "has a name twice"));
    }
    let target = |name: &str| {
        let (sentinels, access) = (Arc::clone(&sentinels), access.clone());
        RedisTarget(Place::Master(Master { name: name.into(), sentinels, access }))
    };
    Ok(match names.len() {
        1 => RedisTopology::One(target(names.remove(0))),
        _ => RedisTopology::Several(names.into_iter().map(target).collect()),
    })
}

/// The same address twice is a mistake, whatever the databases, and so is TLS for only some.
fn parse_all(key: &str, urls: &[String]) -> Result<Vec<Parsed>, SettingsError> {
    let parsed = urls.iter().map(|url| Endpoint::parse(key, url)).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<_> = parsed.iter().map(|parsed| parsed.address.to_string().to_lowercase()).collect();
    if has_duplicate(&addresses) {
        return Err(wrong(key, "has an address twice"));
    }
    if parsed.windows(2).any(|pair| pair[0].is_encrypted != pair[1].is_encrypted) {
        return Err(wrong(key, "must begin with rediss:// everywhere or nowhere"));
    }
    Ok(parsed)
}

fn has_duplicate<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().any(|(index, item)| items[..index].contains(item))
}

fn files(settings: &RedisSettings) -> TlsFiles<'_> {
    let RedisSettings { ca_file, cert_file, key_file, server_name, .. } = settings;
    TlsFiles { ca_file, cert_file, key_file, server_name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTINELS: [&str; 2] = ["redis://:secret@one:26379", "redis://:secret@two:26379"];

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    fn names(targets: &[RedisTarget]) -> Vec<String> {
        targets.iter().map(RedisTarget::name).collect()
    }

    #[test]
    fn one_several_or_a_cluster() {
        let settings = RedisSettings { url: "redis://one".into(), ..RedisSettings::default() };
        assert!(matches!(settings.topology(), Ok(RedisTopology::One(target)) if target.name() == "one:6379"));
        let settings = RedisSettings { cluster: true, ..settings };
        assert!(matches!(settings.topology(), Ok(RedisTopology::Cluster(seeds)) if names(&seeds) == ["one:6379"]));
        let urls = list(&["redis://:secret@one:1", "redis://:secret@[::1]:2"]);
        let settings = RedisSettings { urls, ..RedisSettings::default() };
        let expected = ["one:1", "[::1]:2"];
        assert!(matches!(settings.topology(), Ok(RedisTopology::Several(targets)) if names(&targets) == expected));
        let settings = RedisSettings { cluster: true, ..settings };
        assert!(matches!(settings.topology(), Ok(RedisTopology::Cluster(seeds)) if names(&seeds) == expected));
    }

    #[test]
    fn masters_that_sentinels_keep() {
        let settings = RedisSettings { sentinels: list(&SENTINELS), master: "main".into(), ..RedisSettings::default() };
        let Ok(RedisTopology::One(target)) = settings.topology() else { panic!("one") };
        assert_eq!(target.name(), "main");
        assert_eq!(target.to_string(), "main (sentinels one:26379 two:26379)");
        assert!(target.access().login.password.is_none());
        let url = "rediss://jack:secret@not-used/3".to_owned();
        let settings = RedisSettings { url, master: "main, second".into(), ..settings };
        let Ok(RedisTopology::Several(targets)) = settings.topology() else { panic!("several") };
        assert_eq!(names(&targets), ["main", "second"]);
        let access = targets[1].access();
        assert_eq!((access.login.user.as_deref(), access.login.database), (Some("jack"), 3));
        assert!(access.tls.is_some());
    }

    #[test]
    fn is_set() {
        let none = RedisSettings::default;
        assert!(!none().is_set());
        for settings in [
            RedisSettings { url: "x".into(), ..none() },
            RedisSettings { urls: list(&["x"]), ..none() },
            RedisSettings { sentinels: list(&["x"]), ..none() },
            RedisSettings { master: "x".into(), ..none() },
            RedisSettings { cluster: true, ..none() },
        ] {
            assert!(settings.is_set());
        }
    }

    #[test]
    fn errors_name_the_setting_and_never_the_address() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let empty = || empty.to_str().unwrap().to_owned();
        let none = RedisSettings::default;
        let url = |url: &str| RedisSettings { url: url.into(), ..none() };
        let tls = || url("rediss://user:secret@localhost");
        let urls = |urls: &[&str]| RedisSettings { urls: list(urls), ..none() };
        let kept = || RedisSettings { sentinels: list(&SENTINELS), master: "main".into(), ..none() };
        let sentinels = |urls: &[&str]| RedisSettings { sentinels: list(urls), ..kept() };
        for (settings, words) in [
            (url("http://user:secret@localhost"), ["redis.url", "REDIS_URL"]),
            (url("rediss://user:secret@localhost/#insecure"), ["redis.url", "verified"]),
            (RedisSettings { server_name: "not a name".into(), ..tls() }, ["redis.serverName", "REDIS_SERVER_NAME"]),
            (RedisSettings { ca_file: "/does/not/exist".into(), ..tls() }, ["redis.caFile", "/does/not/exist"]),
            (RedisSettings { ca_file: empty(), ..tls() }, ["redis.caFile", "no certificate"]),
            (RedisSettings { cert_file: empty(), ..tls() }, ["redis.certFile", "needs `redis.keyFile`"]),
            (RedisSettings { key_file: empty(), ..tls() }, ["redis.keyFile", "needs `redis.certFile`"]),
            (RedisSettings { cert_file: empty(), key_file: empty(), ..tls() }, ["redis.certFile", "no certificate"]),
            (RedisSettings { ca_file: empty(), ..url("redis://:secret@localhost") }, ["redis.caFile", "rediss://"]),
            (RedisSettings { cluster: true, ..none() }, ["redis.cluster", "needs `redis.url` or `redis.urls`"]),
            (RedisSettings { sentinels: list(&SENTINELS), ..none() }, ["redis.sentinels", "needs `redis.master`"]),
            (RedisSettings { master: "main".into(), ..none() }, ["redis.master", "needs `redis.sentinels`"]),
            (
                RedisSettings { url: "redis://one".into(), prefix: "a}".into(), ..none() },
                ["redis.prefix", "must not contain"],
            ),
            (RedisSettings { urls: list(&["redis://a"]), ..kept() }, ["redis.urls", "`redis.sentinels`"]),
            (RedisSettings { cluster: true, ..kept() }, ["redis.cluster", "`redis.sentinels`"]),
            (RedisSettings { urls: list(&["redis://a"]), ..tls() }, ["redis.urls", "`redis.url`"]),
            (urls(&["redis://a:secret@one/1", "redis://b:secret@ONE/2"]), ["redis.urls", "twice"]),
            (urls(&["redis://a", "redis://b", "rediss://c"]), ["redis.urls", "everywhere or nowhere"]),
            (urls(&["redis://a", "secret"]), ["redis.urls", "REDIS_URLS"]),
            (RedisSettings { cluster: true, ..urls(&["redis://a/1"]) }, ["redis.urls", "database"]),
            (RedisSettings { cluster: true, ..url("redis://a/1") }, ["redis.url`", "database"]),
            (RedisSettings { cluster: true, ..url("unix:///a") }, ["redis.url`", "hosts and ports"]),
            (RedisSettings { cluster: true, ..urls(&["redis://:secret@a", "redis://b"]) }, ["redis.urls", "password"]),
            (sentinels(&["redis://a", "redis://a"]), ["redis.sentinels", "twice"]),
            (sentinels(&["redis://a/1"]), ["redis.sentinels", "database"]),
            (sentinels(&["unix:///a"]), ["redis.sentinels", "hosts and ports"]),
            (sentinels(&["rediss://a"]), ["redis.url`", "rediss://"]),
            (RedisSettings { url: "unix:///a".into(), ..kept() }, ["redis.url`", "socket"]),
            (RedisSettings { ca_file: empty(), ..kept() }, ["redis.caFile", "rediss://"]),
            (RedisSettings { master: "main,".into(), ..kept() }, ["redis.master", "a name"]),
            (RedisSettings { master: "main,main".into(), ..kept() }, ["redis.master", "twice"]),
        ] {
            let error = settings.topology().err().expect("must be refused").to_string();
            assert!(words.iter().all(|word| error.contains(word)) && !error.contains("secret"), "{words:?}: {error}");
        }
    }
}
