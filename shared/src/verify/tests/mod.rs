//! Tests of the verifier as a whole; [`signer`] makes keys and tokens.

mod issuers;
mod one_issuer;
mod providers;
mod refresh;
mod signer;
