//! Both services' settings, read from the same sources. Where both have a key, it means the same to both.

use jackfield_auth::AuthSettings;
use jackfield_gateway::settings::GatewaySettings;
use jackfield_shared::{
    hosts::is_loopback,
    settings::{Setting, SettingsError, Sources, list, load, load_over},
};

/// Reads both.
///
/// # Errors
/// The error names the setting.
pub fn read(sources: &Sources) -> Result<(GatewaySettings, AuthSettings), SettingsError> {
    let keys = |rows: Vec<Setting>| rows.into_iter().map(|row| row.key).collect();
    let of_gateway = Sources { others: keys(list::<AuthSettings>()), ..sources.clone() };
    let of_auth = Sources { others: keys(list::<GatewaySettings>()), ..sources.clone() };
    // By default only this machine reaches the program.
    let mut gateway =
        load_over(GatewaySettings { host: "127.0.0.1".into(), ..GatewaySettings::default() }, &of_gateway)?;
    let mut auth: AuthSettings = load(&of_auth)?;
    // The demo users' password is public. Without an explicit setting they exist only if no other machine reaches them
    // and the database is SQLite.
    if is_loopback(&gateway.host) && auth.database.url.starts_with("sqlite:") {
        let mut seeded = AuthSettings::default();
        seeded.seed.enabled = true;
        auth = load_over(seeded, &of_auth)?;
    }
    for (of_gateway, of_auth) in
        [(&mut gateway.jwt.issuer, &auth.token.issuer), (&mut gateway.jwt.audience, &auth.token.audience)]
    {
        // Tokens of another issuer are checked as configured; our own always.
        let own_keys = gateway.jwt.secret.is_empty() && gateway.jwt.jwks_url.is_empty();
        if own_keys && of_gateway.is_empty() {
            of_gateway.clone_from(of_auth);
        }
    }
    Ok((gateway, auth))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(overrides: &[&str]) -> Result<(GatewaySettings, AuthSettings), SettingsError> {
        read(&Sources { overrides: overrides.iter().map(|pair| (*pair).into()).collect(), ..Sources::default() })
    }

    #[test]
    fn the_defaults_are_a_demo() {
        let (gateway, auth) = with(&[]).unwrap();
        assert_eq!((gateway.port, gateway.host.as_str(), gateway.redis.url.as_str()), (3_000, "127.0.0.1", ""));
        assert_eq!((auth.database.url.as_str(), auth.seed.enabled), ("sqlite://jackfield.db", true));
        assert_eq!((gateway.jwt.issuer.as_str(), gateway.jwt.audience.as_str()), ("jackfield", "jackfield"));
    }

    #[test]
    fn a_real_database_gets_demo_users_only_if_enabled() {
        assert!(!with(&["database.url=postgres://h/d"]).unwrap().1.seed.enabled);
        assert!(with(&["database.url=postgres://h/d", "seed.enabled=true"]).unwrap().1.seed.enabled);
        assert!(!with(&["seed.enabled=false"]).unwrap().1.seed.enabled);
    }

    #[test]
    fn other_machines_reach_demo_users_only_if_enabled() {
        for host in ["0.0.0.0", "::", "10.0.0.1"] {
            let host = format!("host={host}");
            assert!(!with(&[&host]).unwrap().1.seed.enabled);
            assert!(with(&[&host, "seed.enabled=true"]).unwrap().1.seed.enabled);
        }
        assert!(with(&["host=::1"]).unwrap().1.seed.enabled);
        let environment = vec![("HOST".to_owned(), "0.0.0.0".to_owned())];
        assert!(!read(&Sources { environment, ..Sources::default() }).unwrap().1.seed.enabled);
    }

    #[test]
    fn each_service_takes_its_own_settings_and_unknown_ones_are_refused() {
        let (gateway, auth) = with(&["session.policy=multi", "token.issuer=us", "log.level=warn"]).unwrap();
        assert_eq!((gateway.session.policy.as_str(), gateway.jwt.issuer.as_str()), ("multi", "us"));
        assert_eq!((gateway.log.level.as_str(), auth.log.level.as_str()), ("warn", "warn"));
        assert!(with(&["sesion.policy=multi"]).is_err());
    }

    #[test]
    fn another_issuer_is_checked_as_configured() {
        let (gateway, _) = with(&["jwt.secret=s"]).unwrap();
        assert_eq!((gateway.jwt.issuer.as_str(), gateway.jwt.audience.as_str()), ("", ""));
    }
}
