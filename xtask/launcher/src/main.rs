//! `cargo xtask …`: builds the commands, and becomes them.
//!
//! `cargo run --package xtask` would do, but for time: which features a dependency is built with depends on the packages that are
//! asked for, so that most of what the commands need would be compiled once for them alone and again for the programs and the
//! tests. Here everything in the workspace is asked for, as `cargo xtask` itself does later; and that one of its tests is among
//! it brings in the features that tests add. It uses nothing but the standard library, and so takes a second to build itself.

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

/// Returns only where there is nothing to become.
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

/// Without what `cargo run` says of this package. There are build scripts that look at it (*ring*'s does): below a plain `cargo test`
/// they would see something else, and all that depends on them would be compiled again.
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
