//! Both services' settings, read from the same sources. Where both have a key, it means the same to both.

use jackfield_auth::AuthSettings;
use jackfield_gateway::settings::GatewaySettings;
use jackfield_shared::settings::{Setting, Settings, SettingsError, Sources, load};
use serde::{Deserialize, Serialize};

/// The auth service's settings with the one default that is another in this program: the demo users are there.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Embedded(AuthSettings);

impl Default for Embedded {
    fn default() -> Self {
        let mut settings = AuthSettings::default();
        settings.seed.enabled = true;
        Self(settings)
    }
}

impl Settings for Embedded {
    const TABLE: &'static [Setting] = AuthSettings::TABLE;
}

/// Reads both.
///
/// # Errors
/// Says which setting is wrong.
pub fn read(sources: &Sources) -> Result<(GatewaySettings, AuthSettings), SettingsError> {
    let keys = |table: &'static [Setting]| table.iter().map(|setting| setting.key).collect();
    let of_gateway = Sources { others: keys(AuthSettings::TABLE), ..sources.clone() };
    let of_auth = Sources { others: keys(GatewaySettings::TABLE), ..sources.clone() };
    let mut gateway: GatewaySettings = load(&of_gateway)?;
    let Embedded(mut auth) = load(&of_auth)?;
    if !auth.database.url.starts_with("sqlite:") {
        // Users whose password everybody knows get into a real database only where somebody says so.
        auth = load(&of_auth)?;
    }
    for (of_gateway, of_auth) in
        [(&mut gateway.jwt.issuer, &auth.token.issuer), (&mut gateway.jwt.audience, &auth.token.audience)]
    {
        // Tokens of another issuer are checked as the settings say; our own always.
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
    fn without_any_setting_it_is_a_demo_of_its_own() {
        let (gateway, auth) = with(&[]).unwrap();
        assert_eq!((gateway.port, gateway.redis.url.as_str()), (3_000, ""));
        assert_eq!((auth.database.url.as_str(), auth.seed.enabled), ("sqlite://jackfield.db", true));
        assert_eq!((gateway.jwt.issuer.as_str(), gateway.jwt.audience.as_str()), ("jackfield", "jackfield"));
    }

    #[test]
    fn a_real_database_gets_demo_users_only_when_told() {
        assert!(!with(&["database.url=postgres://h/d"]).unwrap().1.seed.enabled);
        assert!(with(&["database.url=postgres://h/d", "seed.enabled=true"]).unwrap().1.seed.enabled);
        assert!(!with(&["seed.enabled=false"]).unwrap().1.seed.enabled);
    }

    #[test]
    fn each_takes_its_own_and_nobodys_is_refused() {
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
