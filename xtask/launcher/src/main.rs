//! `cargo xtask …`: builds the program `xtask`, then replaces itself with it.
//!
//! `cargo run --package xtask` would work too, but takes longer. The features of a dependency depend on the packages
//! that are requested, so Cargo would compile most dependencies of `xtask` once for it alone and again for the programs
//! and the tests. The launcher requests the whole workspace, as `cargo xtask` itself does later, and one test, which
//! brings in the features that tests add. It uses the standard library only, and so builds in a second.

use std::{
    env, io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    match launch() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns only if the build fails or `xtask` cannot be started.
fn launch() -> io::Result<ExitCode> {
    let mut cargo = command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).as_ref());
    cargo.args(["build", "--quiet", "--workspace", "--bin", "xtask", "--test", "dockerfiles"]);
    // It may be called from anywhere in the repository.
    if !cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).status()?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let commands = env::current_exe()?.with_file_name("xtask");
    Err(command(&commands).args(env::args_os().skip(1)).exec())
}

/// A command without the variables that `cargo run` sets for this package. Some build scripts depend on them (*ring*'s
/// does): they have other values under a plain `cargo test`, which would compile all dependents of these scripts again.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start));
        if ours {
            command.env_remove(name);
        }
    }
    command
}
