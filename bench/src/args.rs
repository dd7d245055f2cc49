//! Options. `cargo xtask bench` gives them; a person seldom does.

use std::net::SocketAddrV4;

use clap::{Parser, ValueEnum};

use crate::{dialect::Dialect, usage::Probe};

/// The clients' work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Connect, and nothing else
    Connects,
    /// Connect, then stay idle: memory
    Idle,
    /// Ask for the same text back
    Echo,
    /// The same over HTTP long-polling
    Polling,
    /// Send to rooms
    Rooms,
    /// Lose all servers, and come back
    Storm,
}

/// One run.
#[derive(Debug, Clone, Parser)]
#[command(name = "jackfield-bench", about = "Loads servers on this machine and prints one line of JSON")]
pub struct Args {
    /// The clients' work
    #[arg(value_enum)]
    pub kind: Kind,
    /// Address of a server; repeat it for several nodes of one cluster. Loopback only
    #[arg(long = "target", required = true, value_parser = loopback)]
    pub targets: Vec<SocketAddrV4>,
    /// The servers' protocol
    #[arg(long, value_enum, default_value_t = Dialect::Socketio)]
    pub dialect: Dialect,
    /// Secret of the tokens (HS256)
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    pub secret: String,
    /// Process id of a server, to measure it; repeat it for several
    #[arg(long = "server-pid")]
    pub servers: Vec<u32>,
    /// Process id of a Redis, to measure it; repeat it for several
    #[arg(long = "redis-pid")]
    pub redis: Vec<u32>,
    /// Number of clients
    #[arg(long, default_value_t = 100)]
    pub sockets: usize,
    /// Clients in each room; 0 for no rooms
    #[arg(long, default_value_t = 0)]
    pub room_size: usize,
    /// Senders in each room
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Messages of each sender (echoes of each client) that are under way at a time
    #[arg(long, default_value_t = 1)]
    pub window: u32,
    /// Messages per second of all senders together, instead of as fast as it goes
    #[arg(long)]
    pub rate: Option<u64>,
    /// Bytes of a message's content
    #[arg(long, default_value_t = 200)]
    pub size: usize,
    /// Seconds before the measurement; of `idle`: before memory is read
    #[arg(long, default_value_t = 3.0)]
    pub warmup: f64,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 8.0)]
    pub duration: f64,
    /// Clients that ask for echoes during a storm
    #[arg(long, default_value_t = 100)]
    pub witnesses: usize,
    /// At the end, seconds without an arrival after which what is still under way is lost
    #[arg(long, default_value_t = 5.0)]
    pub drain: f64,
}

impl Args {
    /// The processes to measure.
    pub fn probe(&self) -> Probe {
        Probe { servers: self.servers.clone(), redis: self.redis.clone() }
    }
}

/// A load generator must not load another machine by mistake.
fn loopback(text: &str) -> Result<SocketAddrV4, String> {
    let address: SocketAddrV4 = text.parse().map_err(|_| "must be 127.0.0.1:PORT".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("must be a loopback address".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn only_this_machine_is_loaded() {
        assert!(loopback("127.0.0.1:3000").is_ok());
        assert!(loopback("10.0.0.1:3000").is_err());
        assert!(loopback("example.com:3000").is_err());
    }
}
