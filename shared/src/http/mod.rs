//! The common parts of both services' HTTP interfaces: [`layers`] around every route, [`identify`], [`measure`],
//! [`docs`], [`body`] and [`client_address`].

pub mod body;
pub mod client_address;
pub mod docs;
pub mod identify;
pub mod layers;
pub mod measure;
