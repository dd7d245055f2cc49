//! What the repository says about the gateway agrees with its code.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly")]

mod readme;
