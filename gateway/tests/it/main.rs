//! What the repository says about the gateway agrees with its code: the documented settings, and the layers.

mod layers;
mod readme;
