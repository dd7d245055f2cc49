//! The parts of a document that the code decides, such as the tables of settings, metrics and alerts.
//!
//! A part stands between `<!-- NAME -->` and `<!-- /NAME -->`. With the environment variable `UPDATE_DOCS=1` a test
//! rewrites its part; otherwise it fails if the part differs from the code. The integration tests of other packages
//! include this file by its path.

use std::{env, fs, path::Path};

/// Checks or rewrites the part `name` of the document at `path`, which is relative to the repository's root.
pub fn check(path: &str, name: &str, wanted: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(package);
    let file = root.join(path);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let parts = text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let Some((before, (found, after))) = parts else { panic!("{path} has no {begin}…{end}") };
    let wanted = format!("\n{wanted}\n");
    if found == wanted {
        return;
    }
    let command = format!("UPDATE_DOCS=1 cargo test -p {}", env!("CARGO_PKG_NAME"));
    assert!(env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1"), "{path} is out of date: run `{command}`");
    let updated = format!("{before}{begin}{wanted}{end}{after}");
    fs::write(&file, updated).unwrap_or_else(|error| panic!("{path}: {error}"));
}
