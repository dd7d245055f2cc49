//! The life of the keys that sign tokens: made, published, signing, retired, deleted.
//!
//! [`table`] is the port to the stored keys. [`rotation`] decides, without I/O, which key signs and what is due.
//! [`seal`] encrypts private keys at rest. [`manager`] does what is due and loads the keys as a [`ring`], with which a
//! service signs and verifies; [`task`] repeats that for as long as the service runs, and [`command`] is for operators.
//!
//! Guarantees, for however many services on one database:
//! - Exactly one key is `current`. Of several rotations at the same time, one takes place.
//! - Every service follows within a few seconds and replaces signer and key set in one step. While the database is away
//!   it keeps the keys that it has.
//! - A service that cannot open the stored keys writes nothing: with a wrong secret it neither makes nor rotates keys.

pub mod command;
pub mod manager;
pub mod ring;
pub mod rotation;
pub mod seal;
pub mod signing_key;
pub mod table;
pub(crate) mod task;

pub use manager::{KeyManager, KeysError};
pub use ring::KeyRing;
pub use signing_key::{KeyError, KeyPair};
pub use table::KeyTable;
