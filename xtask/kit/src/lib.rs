//! Starting and ending the programs of this repository and the servers that they need, on this machine.
//!
//! - [`paths`]: paths in the repository, in its target directory and on this machine
//! - [`process`]: one server process, [`servers`]: the third-party servers, [`service`]: one of our own,
//!   [`ready`]: their readiness checks
//! - [`workdir`]: the folder of one run, [`ports`]: its ports, [`shutdown`]: the request to end it
//! - [`loopback`]: for servers that somebody else started, whether they are on this machine
//!
//! `xtask` and `chaos` use it. It builds and installs nothing, and it knows no scenario: its users decide which servers
//! to start, with which settings, and when they end. Start servers from a thread that lives as long as they do: Linux
//! kills a child when the thread that started it ends.

pub mod loopback;
pub mod paths;
pub mod ports;
pub mod process;
pub mod ready;
pub mod servers;
pub mod service;
pub mod shutdown;
pub mod workdir;
