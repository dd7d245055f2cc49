//! Builds Centrifugo from the Go module proxy, once, into this user's cache.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::process::Command;
use xtask_kit::paths;

use crate::{cargo, output};

const MODULE: &str = "github.com/centrifugal/centrifugo/v6";
const VERSION: &str = "v6.3.1";

/// The program. Fails if it is not built yet and cannot be built, such as without Go.
pub async fn program() -> Result<PathBuf> {
    let folder = paths::cache()?.join(format!("centrifugo-{VERSION}"));
    let program = folder.join("centrifugo");
    if !program.is_file() {
        let go = paths::which("go").context("please install: Go, which builds it")?;
        output::print(&format!("go install {MODULE}@{VERSION}"));
        let mut install = Command::new(go);
        install.args(["install", &format!("{MODULE}@{VERSION}")]).env("GOBIN", &folder).stdout(std::io::stderr());
        cargo::run("go install", install).await.context("Centrifugo could not be built")?;
    }
    Ok(program)
}
