//! Limits and a path that make no sense are refused at the start, by name.

use jackfield_shared::settings::SettingsError;

use super::GatewaySettings;

/// Bytes of a message, of a queue and of an inbox, at least.
const MIN_MESSAGE: u32 = 1_024;
const MIN_QUEUE: u32 = 524_288;
const MIN_INBOX: u32 = 65_536;
/// Binary parts of an event, at most.
const MAX_ATTACHMENTS: u32 = 1_000;

impl GatewaySettings {
    /// Whether limits and path make sense.
    ///
    /// # Errors
    /// Names the first setting that does not.
    pub fn check(&self) -> Result<(), SettingsError> {
        let limits = &self.limits;
        let wrong = |text: &str| Err(SettingsError::new(format!("setting {text}")));
        if limits.message < MIN_MESSAGE {
            return wrong("`limits.message` must be at least 1024: a CONNECT with its token has to fit");
        }
        if limits.queue_bytes < MIN_QUEUE {
            return wrong("`limits.queueBytes` must be at least 524288: a page of a room that was missed has to fit");
        }
        if limits.inbox_bytes < MIN_INBOX {
            return wrong("`limits.inboxBytes` must be at least 65536: an event has to fit");
        }
        if limits.event_rate > 0 && limits.event_burst == 0 {
            return wrong("`limits.eventBurst` must be at least 1 where `limits.eventRate` is");
        }
        if limits.attachments > MAX_ATTACHMENTS {
            return wrong("`limits.attachments` must be at most 1000");
        }
        if limits.connect_timeout.is_zero() {
            return wrong("`limits.connectTimeout` must be more than 0: connections that join nothing have to end");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let path = &self.socket.path;
        if !path.starts_with('/') || self.socket_path().is_empty() || !path.chars().all(plain) {
            return wrong("`socket.path` must be such as `/socket.io/`: letters, digits, `/`, `-`, `_`, `.` and `~`");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::{Sources, load};

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
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
            ("socket.path=sockets", "socket.path"),
            ("socket.path=/", "socket.path"),
            ("socket.path=/{x}", "socket.path"),
        ] {
            let error = with(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
        for none in ["limits.inbox=0", "limits.queue=0", "limits.payload=0", "limits.queueAge=0s", "socket.path=/a/b/"]
        {
            assert_eq!(with(none), Ok(()), "{none}");
        }
    }
}
