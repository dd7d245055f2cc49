//! Migrations are embedded at build, so a change of one must build the crate again.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
