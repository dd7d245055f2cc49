//! The program `chaos` as a command, without servers. This test also makes Cargo build the program together with the
//! tests: `cargo xtask test` then uses it.

use std::process::{Command, Output};

fn chaos(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chaos")).args(args).output().unwrap_or_else(|error| panic!("chaos: {error}"))
}

#[test]
fn the_self_test_finds_all_damage() {
    let output = chaos(&["--self-test", "--seed", "1"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && table.lines().count() == 8, "{output:?}");
}

#[test]
fn sizes_that_fit_no_plan_are_refused() {
    let output = chaos(&["--rooms", "3", "--members", "2"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("--members must be at least --rooms"), "{error}");
}
