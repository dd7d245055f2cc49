//! Embeds the stock browser client, where `npm ci` was run in `client/`. The build works without it.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

const FILES: [&str; 4] = ["socket.io.js", "socket.io.js.map", "socket.io.min.js", "socket.io.min.js.map"];

fn main() -> Result<(), Box<dyn Error>> {
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("client/node_modules/socket.io-client/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=client/package-lock.json");
    let mut list = String::from("const CLIENT_FILES: &[(&str, Option<&str>)] = &[\n");
    for name in FILES {
        let path = dist.join(name);
        match path.is_file() {
            true => writeln!(list, "    ({name:?}, Some(include_str!({path:?}))),")?,
            false => writeln!(list, "    ({name:?}, None),")?,
        }
    }
    if !FILES.iter().all(|name| dist.join(name).is_file()) {
        println!(
            "cargo::warning=built without the browser client (socket.io.js): run `npm ci` in gateway/client first"
        );
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("client_files.rs"), list)?;
    Ok(())
}
