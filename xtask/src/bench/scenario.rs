//! The scenarios: the sizes of each, and the figure that says what it costs.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::peer::Peer;

/// The clients' work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Memory of 10,000 idle sockets
    Idle,
    /// The same, in rooms of 10
    IdleRooms,
    /// 10,000 connects, 128 at a time
    Connects,
    /// 100 sockets with 10 acknowledged events each under way
    Echo,
    /// 100 sockets with 1 acknowledged event each under way
    Echo1,
    /// The same as `echo` over HTTP long-polling, two nodes
    Polling,
    /// One room of 1,000 on two nodes, 10 senders, as fast as it goes
    BigRoom,
    /// The same with 40 messages a second
    BigRoomPaced,
    /// 500 rooms of 10 on two nodes, a sender in each, as fast as it goes
    ManyRooms,
    /// The same with 1,000 messages a second
    ManyRoomsPaced,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// The unit of a run's main figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    Connects,
    Acknowledgements,
    Deliveries,
    Memory,
}

impl Figure {
    /// For messages and headings.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Connects => "connects per server CPU second",
            Self::Acknowledgements => "acknowledgements per server CPU second",
            Self::Deliveries => "deliveries per server CPU second",
            Self::Memory => "KB per socket",
        }
    }

    /// Its value in a run.
    pub fn of(self, outcome: &Value) -> Option<f64> {
        outcome[if self == Self::Memory { "kb_per_socket" } else { "per_cpu_second" }].as_f64()
    }
}

/// The sizes of a benchmark's runs.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// A tenth of the clients, for a second.
    pub quick: bool,
    /// Seconds, if they were given.
    pub duration: Option<f64>,
}

impl Scenario {
    /// The figure that says what it costs.
    pub fn figure(self) -> Figure {
        match self {
            Self::Idle | Self::IdleRooms => Figure::Memory,
            Self::Connects => Figure::Connects,
            Self::Echo | Self::Echo1 | Self::Polling => Figure::Acknowledgements,
            _ => Figure::Deliveries,
        }
    }

    /// Nodes of a peer.
    pub fn nodes(self) -> usize {
        match self.figure() {
            Figure::Deliveries => 2,
            _ if self == Self::Polling => 2,
            _ => 1,
        }
    }

    /// Whether a peer has what is measured.
    pub fn supports(self, peer: Peer) -> bool {
        peer != Peer::Centrifugo || self.figure() != Figure::Acknowledgements
    }

    /// A sentence for the heading of its table.
    pub fn about(self) -> String {
        self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// The load generator's arguments.
    pub fn generator(self, sizes: &Sizes) -> Vec<String> {
        let part = if sizes.quick { 10 } else { 1 };
        let (kind, sockets, more) = match self {
            Self::Idle => ("idle", 10_000 / part, String::new()),
            Self::IdleRooms => ("idle", 10_000 / part, "--room-size 10".into()),
            Self::Connects => ("connects", 10_000 / part, String::new()),
            Self::Echo => ("echo", 100 / part, "--window 10 --size 64".into()),
            Self::Echo1 => ("echo", 100 / part, "--window 1 --size 64".into()),
            Self::Polling => ("polling", 100 / part, "--window 10 --size 64".into()),
            Self::BigRoom => ("rooms", 1_000 / part, format!("--room-size {} --senders 10 --window 1", 1_000 / part)),
            Self::BigRoomPaced => {
                ("rooms", 1_000 / part, format!("--room-size {} --senders 10 --rate 40", 1_000 / part))
            }
            Self::ManyRooms => ("rooms", 5_000 / part, "--room-size 10 --senders 1 --window 1".into()),
            Self::ManyRoomsPaced => {
                ("rooms", 5_000 / part, format!("--room-size 10 --senders 1 --rate {}", 1_000 / part))
            }
        };
        let duration = sizes.duration.unwrap_or(if sizes.quick { 1.0 } else { 8.0 });
        // Idle servers return memory to the system for some seconds.
        let warmup = match (sizes.quick, self.figure()) {
            (true, _) => 0.5,
            (false, Figure::Memory) => duration,
            (false, _) => 3.0,
        };
        let common = format!("{kind} --sockets {sockets} --duration {duration} --warmup {warmup} {more}");
        common.split_whitespace().map(ToOwned::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_sentence_and_is_smaller_when_quick() {
        for scenario in Scenario::value_variants() {
            assert!(!scenario.about().is_empty());
            let arguments = |quick| scenario.generator(&Sizes { quick, duration: None }).join(" ");
            assert_ne!(arguments(true), arguments(false));
        }
    }

    #[test]
    fn only_socket_io_has_echo() {
        assert!(Scenario::BigRoom.supports(Peer::Centrifugo));
        assert!(!Scenario::Polling.supports(Peer::Centrifugo));
        assert!(Scenario::Polling.supports(Peer::Bun));
    }

    #[test]
    fn the_duration_can_be_chosen() {
        let arguments = Scenario::Echo.generator(&Sizes { quick: false, duration: Some(2.5) }).join(" ");
        assert_eq!(arguments, "echo --sockets 100 --duration 2.5 --warmup 3 --window 10 --size 64");
    }
}
