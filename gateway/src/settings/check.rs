//! Refuses invalid limits and paths at start, with the setting's name.

use std::time::Duration;

use axum::http::uri::Authority;
use jackfield_shared::settings::SettingsError;

use super::GatewaySettings;

/// Fewest bytes of a message, of a queue and of an inbox.
const MIN_MESSAGE: u32 = 1_024;
const MIN_QUEUE: u32 = 524_288;
const MIN_INBOX: u32 = 65_536;
/// Fewest facts that are kept, and the shortest time.
const MIN_FACTS: u32 = 1_600;
const MIN_FACT_AGE: Duration = Duration::from_hours(24);
/// Longest prefix of emitters' channels.
const MAX_PREFIX: usize = 128;
/// Most binary parts of an event.
const MAX_ATTACHMENTS: u32 = 1_000;

impl GatewaySettings {
    /// Refuses values of the right type that make no sense.
    ///
    /// # Errors
    /// Names the first such setting.
    pub fn check(&self) -> Result<(), SettingsError> {
        let limits = &self.limits;
        let wrong = |text: &str| Err(SettingsError::new(format!("setting {text}")));
        if limits.message < MIN_MESSAGE {
            return wrong("`limits.message` must be at least 1024, the size of a CONNECT with its token");
        }
        if limits.queue_bytes < MIN_QUEUE {
            return wrong(
                "`limits.queueBytes` must be at least 524288, the size of a page of a room's missed messages",
            );
        }
        if limits.inbox_bytes < MIN_INBOX {
            return wrong("`limits.inboxBytes` must be at least 65536, the size of an event");
        }
        if limits.event_rate > 0 && limits.event_burst == 0 {
            return wrong("`limits.eventBurst` must be at least 1, or `limits.eventRate` 0");
        }
        if limits.attachments > MAX_ATTACHMENTS {
            return wrong("`limits.attachments` must be at most 1000");
        }
        if limits.connect_timeout.is_zero() {
            return wrong("`limits.connectTimeout` must be more than 0, because idle connections must end");
        }
        if self.hook.concurrency == 0 {
            return wrong("`hook.concurrency` must be at least 1; without `hooks` none is called");
        }
        if self.revocation.window.as_secs() == 0 {
            return wrong("`revocation.window` must be at least 1s, because a revocation must outlast the tokens");
        }
        self.fact_terms()?;
        if self.fact.max < MIN_FACTS {
            return wrong("`fact.max` must be at least 1600, a hundred for each of the 16 partitions");
        }
        if self.fact.max_age < MIN_FACT_AGE {
            return wrong("`fact.maxAge` must be at least 24h, because facts are delivered for so long");
        }
        if !self.emitter.prefix.is_empty() && !self.redis.is_set() {
            return wrong("`emitter.prefix` needs `redis.url`: emitters publish on Redis");
        }
        if self.emitter.prefix.len() > MAX_PREFIX {
            return wrong("`emitter.prefix` must have at most 128 characters");
        }
        let address = &self.node.address;
        if !address.is_empty() && address.parse::<Authority>().map_or(true, |address| address.port_u16().is_none()) {
            return wrong("`node.address` must be a host and a port, such as 10.0.0.7:13000");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let path = &self.socket.path;
        if !path.starts_with('/') || self.socket_path().is_empty() || !path.chars().all(plain) {
            return wrong(
                "`socket.path` must be a path such as `/socket.io/`, of letters, digits, `/`, `-`, `_`, `.` and `~`",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::{Sources, load};

    #[test]
    fn an_invalid_setting_is_named() {
        let with = |setting: &str| {
            let overrides = vec![setting.to_owned()];
            load::<GatewaySettings>(&Sources { overrides, ..Sources::default() }).unwrap().check()
        };
        assert_eq!(GatewaySettings::default().check(), Ok(()));
        for (wrong, name) in [
            ("limits.message=0", "limits.message"),
            ("limits.queueBytes=0", "limits.queueBytes"),
            ("limits.inboxBytes=0", "limits.inboxBytes"),
            ("limits.eventBurst=0", "limits.eventBurst"),
            ("limits.attachments=1001", "limits.attachments"),
            ("limits.connectTimeout=0s", "limits.connectTimeout"),
            ("hook.concurrency=0", "hook.concurrency"),
            ("revocation.window=0s", "revocation.window"),
            ("facts=on,user.gone", "facts"),
            ("fact.max=100", "fact.max"),
            ("fact.maxAge=1h", "fact.maxAge"),
            ("emitter.prefix=socket.io", "emitter.prefix"),
            ("node.address=10.0.0.7", "node.address"),
            ("node.address=http://a:1/", "node.address"),
            ("socket.path=sockets", "socket.path"),
            ("socket.path=/", "socket.path"),
            ("socket.path=/{x}", "socket.path"),
        ] {
            let error = with(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
        for none in [
            "limits.inbox=0",
            "limits.queue=0",
            "limits.payload=0",
            "limits.queueAge=0s",
            "socket.path=/a/b/",
            "node.address=[::1]:1",
        ] {
            assert_eq!(with(none), Ok(()), "{none}");
        }
    }
}
