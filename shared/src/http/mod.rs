//! What both services' HTTP interfaces have in common: [`layers`] around every route, [`identify`], [`measure`], and
//! [`docs`].

pub mod docs;
pub mod identify;
pub mod layers;
pub mod measure;
