//! The common parts of both services' HTTP interfaces: [`layers`] around every route, [`identify`], [`measure`],
//! [`docs`] and [`client_address`].

pub mod client_address;
pub mod docs;
pub mod identify;
pub mod layers;
pub mod measure;
