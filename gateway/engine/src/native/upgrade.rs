//! The upgrade of a connection from polling to a WebSocket: a table of states and events. Pure.
//!
//! The client opens a WebSocket with the connection's id, sends `2probe`, gets `3probe`, lets its last poll end, and
//! sends `5`. Guarantees: at most one WebSocket probes at a time; one that fails leaves the connection with polling;
//! the switch happens once.

/// The state of one connection that began with polling.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// Polling only.
    #[default]
    None,
    /// A WebSocket was opened; its probe has not arrived.
    Opened,
    /// The probe was answered. Polls end at once, so that the client can switch.
    Probed,
}

/// The Engine.IO packets of a probing WebSocket.
pub(super) const PROBE: &str = "2probe";
/// The answer to [`PROBE`].
pub(super) const PROBE_ANSWER: &str = "3probe";
/// The client switches to the WebSocket.
pub(super) const SWITCH: &str = "5";

/// An event of the probing WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeEvent<'a> {
    /// A text arrived.
    Text(&'a str),
    /// Anything else: a binary message, the end of the WebSocket, too much time.
    Failed,
}

/// The reaction to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Send [`PROBE_ANSWER`], and end the poll that hangs.
    Answer,
    /// The WebSocket becomes the connection's transport.
    Switch,
    /// Close the WebSocket; the connection goes on with polling.
    Fail,
}

impl Upgrade {
    /// A WebSocket asks to be the connection's transport. False if another one already does.
    pub(super) fn open(&mut self) -> bool {
        let free = *self == Self::None;
        if free {
            *self = Self::Opened;
        }
        free
    }

    /// Whether polls end at once.
    pub(super) fn ends_polls(self) -> bool {
        self == Self::Probed
    }

    pub(super) fn on(&mut self, event: ProbeEvent<'_>) -> Action {
        let (next, action) = match (*self, event) {
            (Self::Opened, ProbeEvent::Text(PROBE)) => (Self::Probed, Action::Answer),
            (Self::Probed, ProbeEvent::Text(SWITCH)) => (Self::None, Action::Switch),
            (Self::None | Self::Opened | Self::Probed, _) => (Self::None, Action::Fail),
        };
        *self = next;
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence of up to eight events: the switch needs a probe directly before it, and no two WebSockets probe.
    #[test]
    fn a_switch_follows_its_own_probe() {
        let events = [
            None,
            Some(ProbeEvent::Text(PROBE)),
            Some(ProbeEvent::Text(SWITCH)),
            Some(ProbeEvent::Text("4x")),
            Some(ProbeEvent::Failed),
        ];
        for length in 0..=8u32 {
            for number in 0..events.len().pow(length) {
                let sequence = (0..length).map(|place| events[number / events.len().pow(place) % events.len()]);
                run(sequence);
            }
        }
    }

    fn run(sequence: impl Iterator<Item = Option<ProbeEvent<'static>>>) {
        let mut upgrade = Upgrade::default();
        // The events of the one WebSocket that probes now; `None` if there is none.
        let mut open: Option<Vec<ProbeEvent<'_>>> = None;
        for event in sequence {
            match (event, &mut open) {
                (None, open) => {
                    assert_eq!(upgrade.open(), open.is_none());
                    open.get_or_insert_default();
                }
                // Without a WebSocket there are no events of one.
                (Some(_), None) => {}
                (Some(event), Some(seen)) => {
                    seen.push(event);
                    match upgrade.on(event) {
                        Action::Answer => assert_eq!(**seen, [ProbeEvent::Text(PROBE)]),
                        Action::Switch => {
                            assert_eq!(**seen, [ProbeEvent::Text(PROBE), ProbeEvent::Text(SWITCH)]);
                            return;
                        }
                        Action::Fail => open = None,
                    }
                }
            }
            let probed = open.as_deref() == Some(&[ProbeEvent::Text(PROBE)]);
            assert_eq!(upgrade.ends_polls(), probed);
        }
    }
}
