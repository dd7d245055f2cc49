//! What the repository says about the gateway agrees with its code.

mod readme;
