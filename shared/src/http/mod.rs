//! What both services' HTTP interfaces have in common: [`layers`] around every route, [`identify`], [`measure`],
//! [`docs`], and where a request comes from: [`client_address`].

pub mod client_address;
pub mod docs;
pub mod identify;
pub mod layers;
pub mod measure;
