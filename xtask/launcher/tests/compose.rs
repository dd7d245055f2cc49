//! Checks docker-compose.yml against the programs that it configures: no program reads a variable with a wrong name.

use std::{collections::BTreeMap, fs, path::PathBuf};

fn read(path: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The text after the first `mark`.
fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map(|(_, rest)| rest).unwrap_or_else(|| panic!("there is no {mark:?}"))
}

/// The lines of a service, up to the next one.
fn service(file: &str, name: &str) -> String {
    let text = read(file);
    let rest = after(&text, &format!("\n  {name}:\n"));
    let own = |line: &&str| line.is_empty() || line.starts_with("   ");
    rest.lines().take_while(own).map(|line| format!("{line}\n")).collect()
}

/// Variables of a service's `environment` → their values as written.
fn environment(file: &str, name: &str) -> BTreeMap<String, String> {
    let service = service(file, name);
    let lines = after(&service, "    environment:\n").lines().take_while(|line| line.starts_with("      "));
    lines.filter_map(|line| line.trim().split_once(": ")).map(|(k, v)| (k.into(), v.into())).collect()
}

/// Environment variables in the documentation's settings table of `program`.
fn settings(program: &str) -> Vec<String> {
    let page = read("docs/configuration.md");
    let table = after(&page, &format!("<!-- settings:{program} -->"));
    table
        .lines()
        .take_while(|row| !row.starts_with("<!-- /settings"))
        .filter_map(|row| Some(row.split('|').nth(2)?.trim().trim_matches('`').to_owned()))
        .collect()
}

#[test]
fn every_variable_is_a_setting() {
    for (file, name, program) in [
        ("docker-compose.yml", "gateway", "gateway"),
        ("docker-compose.yml", "auth-service", "auth"),
        ("docker-compose.redis-tls.yml", "gateway", "gateway"),
        ("docker-compose.redis-tls.yml", "auth-service", "auth"),
    ] {
        let known = settings(program);
        for variable in environment(file, name).keys().filter(|variable| !variable.starts_with('#')) {
            let holds = |setting: &String| setting == variable || format!("{setting}_FILE") == *variable;
            assert!(known.iter().any(holds), "{file}: {variable} is not a setting of {name}");
        }
    }
}

#[test]
fn gateways_have_limits_proxy_hops_and_an_internal_host() {
    let gateway = environment("docker-compose.yml", "gateway");
    assert_eq!(gateway["LIMITS_CONNECTIONS"], "${LIMITS_CONNECTIONS:-20000}");
    for service in ["gateway", "auth-service"] {
        let environment = environment("docker-compose.yml", service);
        assert_eq!((&*environment["PROXY_HOPS"], &*environment["INTERNAL_HOST"]), ("${PROXY_HOPS:-1}", "0.0.0.0"));
    }
    for image in ["gateway", "auth-service", "standalone"] {
        assert!(read(&format!("deploy/docker/{image}/Dockerfile")).contains("INTERNAL_HOST=0.0.0.0"), "{image}");
    }
}

#[test]
fn a_full_redis_refuses_before_it_is_killed() {
    let redis = service("docker-compose.yml", "redis");
    assert!(redis.contains("mem_limit: 1g\n") && redis.contains("--maxmemory, 768mb,"), "{redis}");
    assert!(redis.contains("--maxmemory-policy, noeviction"), "{redis}");
}

#[test]
fn limits_of_nginx_are_passed_on_with_their_defaults() {
    let nginx = environment("docker-compose.yml", "nginx");
    let follow = read("deploy/nginx/follow");
    let limits: Vec<_> = follow.lines().filter(|line| line.starts_with("ADDRESS_")).collect();
    assert_eq!(limits.len(), 5);
    for line in limits {
        let (name, rest) = line.split_once('=').unwrap();
        assert_eq!(nginx[name], rest.split(' ').next().unwrap(), "{name}");
    }
}
