//! What both services' HTTP interfaces have in common: [`layers`] around every route, [`measure`], and [`docs`].

pub mod docs;
pub mod layers;
pub mod measure;
