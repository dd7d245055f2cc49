//! What both services' HTTP interfaces have in common: [`layers`] around every route, and [`docs`].

pub mod docs;
pub mod layers;
