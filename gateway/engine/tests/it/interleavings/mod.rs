//! Every interleaving of two or three threads, by loom, in the parts that decide who writes and who is told of the end.
//!
//! Their files are compiled here once more, with loom's locks in [`sync`]. The glue around them is as in `native/wire`.

#[path = "../../../src/native/life.rs"]
mod life;
mod receiving;
mod sync;
#[path = "../../../src/native/turn.rs"]
mod turn;
mod writing;
