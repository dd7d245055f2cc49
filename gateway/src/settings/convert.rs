//! Turns settings into the types that the rest of the gateway uses: rates, policies and addresses.

use std::{net::IpAddr, time::Duration};

use jackfield_cluster::{
    Terms,
    facts::{FactTerms, Kind, Kinds},
    inbox::Keep,
    sessions::{OnConflict, Policy},
};
use jackfield_engine::EngineKind;
use jackfield_shared::{serve::internal_host, settings::SettingsError};

use super::{GatewaySettings, Limits};
use crate::limits::{FloodLimits, Rate, UserLimits};

/// How long an event for one user can be read by a node that missed it.
const USER_EVENTS_KEPT: Duration = Duration::from_mins(2);

impl Limits {
    /// The limits on events.
    #[must_use]
    pub(crate) fn flood(&self) -> FloodLimits {
        FloodLimits {
            rate: Rate::new(self.event_rate, self.event_burst),
            strikes: self.flood_strikes,
            payload: self.payload as usize,
        }
    }

    /// The limits of one user.
    #[must_use]
    pub(crate) fn user(&self) -> UserLimits {
        UserLimits {
            flood: self.flood(),
            broadcast: Rate::new(self.broadcast_rate, self.broadcast_burst),
            private: Rate::new(self.private_rate, self.private_burst),
            connect: Rate::new(self.user_connect_rate, self.user_connect_burst),
            rooms: Rate::hourly(self.user_rooms),
            bytes: Rate::hourly(self.user_bytes),
        }
    }

    /// The limit on the connects of one address.
    #[must_use]
    pub(crate) fn address_connects(&self) -> Rate {
        Rate::new(self.address_connect_rate, self.address_connect_burst)
    }
}

impl GatewaySettings {
    /// `socket.path` without the slash at its end.
    #[must_use]
    pub fn socket_path(&self) -> &str {
        self.socket.path.trim_end_matches('/')
    }

    /// The address that the internal port listens on.
    #[must_use]
    pub fn internal_host(&self) -> &str {
        internal_host(&self.internal.host, &self.host)
    }

    /// The internal port: `internal.port`, or the public one + 10000.
    ///
    /// # Errors
    /// If `port` + 10000 is not a port.
    pub fn internal_port(&self) -> Result<u16, SettingsError> {
        match self.internal.port {
            0 => self.port.checked_add(10_000).ok_or_else(|| {
                SettingsError::new("`port` + 10000 is above 65535: set `internal.port` (INTERNAL_PORT)")
            }),
            port => Ok(port),
        }
    }

    /// Host and internal port at which other nodes reach this one; `None` if the internal port listens on all addresses.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        if !self.node.address.is_empty() {
            return Some(self.node.address.clone());
        }
        let host = self.internal_host();
        let is_any = host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_unspecified());
        (!is_any).then(|| format!("{host}:{}", self.internal_port().unwrap_or_default()))
    }

    /// The engine that speaks to the clients.
    ///
    /// # Errors
    /// Names the setting and its valid values.
    pub fn engine(&self) -> Result<EngineKind, SettingsError> {
        match self.engine.as_str() {
            "native" => Ok(EngineKind::Native),
            "oxide" => Ok(EngineKind::Oxide),
            _ => Err(SettingsError::new("setting `engine` must be `native` or `oxide`")),
        }
    }

    /// How many sessions a user may have.
    ///
    /// # Errors
    /// Names the setting and its valid values.
    pub fn policy(&self) -> Result<Policy, SettingsError> {
        let limit = match self.session.policy.as_str() {
            "single" => Some(1),
            "multi" => Some(0),
            number => number.parse().ok().filter(|number| *number > 0),
        };
        let limit = limit.ok_or_else(|| {
            SettingsError::new("setting `session.policy` must be `single`, `multi`, or a number from 1")
        })?;
        let on_conflict = match self.session.on_conflict.as_str() {
            "evict" => OnConflict::Evict,
            "reject" => OnConflict::Reject,
            _ => return Err(SettingsError::new("setting `session.onConflict` must be `evict` or `reject`")),
        };
        Ok(Policy { limit, on_conflict })
    }

    /// Which facts are recorded, and how long they are kept.
    ///
    /// # Errors
    /// Names the setting and its valid values.
    pub fn fact_terms(&self) -> Result<FactTerms, SettingsError> {
        let patterns = self.facts.iter().map(|pattern| if pattern == "on" { "*" } else { pattern });
        let kinds = Kinds::matching(patterns).map_err(|pattern| {
            let names: Vec<_> = Kinds::ALL.iter().map(Kind::as_str).collect();
            let (pattern, names) = (pattern.escape_debug(), names.join(", "));
            SettingsError::new(format!("setting `facts`: `{pattern}` is not `on`, and matches none of {names}"))
        })?;
        Ok(FactTerms { kinds, max: u64::from(self.fact.max), age: self.fact.max_age })
    }

    /// Delay and window of the drain; zero without Redis, because no other node can serve the clients.
    #[must_use]
    pub fn drain_timing(&self) -> (Duration, Duration) {
        if self.redis.is_set() { (self.drain.delay, self.drain.window) } else { (Duration::ZERO, Duration::ZERO) }
    }

    /// The cluster's terms: lease, grace, and limits.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            lease: self.presence.lease,
            grace: self.presence.grace,
            announce_max: self.rooms.announce_max as usize,
            notifications: Keep { max: self.notifications.max as usize, age: self.notifications.max_age },
            user_events: USER_EVENTS_KEPT.max(self.recovery.window),
            recovery: self.recovery.window,
            facts: self.fact_terms().unwrap_or(FactTerms::OFF),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::{Sources, load};

    #[test]
    fn policies_are_parsed() {
        let with = |policy: &str| {
            let overrides = vec![format!("session.policy={policy}")];
            load::<GatewaySettings>(&Sources { overrides, ..Sources::default() }).unwrap().policy()
        };
        assert_eq!(with("single").unwrap().limit, 1);
        assert_eq!(with("multi").unwrap().limit, 0);
        assert_eq!(with("3").unwrap().limit, 3);
        assert!(with("0").is_err() && with("many").is_err());
    }
}
