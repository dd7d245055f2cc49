//! Checks the Dockerfiles against each other and against the workspace: a member that they do not copy fails every
//! build of an image, and nothing else would show it earlier.

use std::{fs, path::PathBuf};

const SERVICES: [&str; 3] = ["gateway", "auth-service", "standalone"];

fn read(path: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The lines of the stage that builds dependencies alone.
fn dependencies(service: &str) -> String {
    let dockerfile = read(&format!("deploy/docker/{service}/Dockerfile"));
    let stage = dockerfile.split("\n\n").find(|stage| stage.contains("\nFROM rust:"));
    stage.unwrap_or_else(|| panic!("{service} has no such stage")).to_owned()
}

#[test]
fn dependencies_are_built_once_for_all() {
    for service in SERVICES {
        assert_eq!(dependencies(service), dependencies("gateway"), "{service}: another stage is another layer");
    }
}

/// Members of the workspace, as paths.
fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let list = manifest.split_once("\nmembers = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.unwrap_or_else(|| panic!("Cargo.toml has no list of members"));
    let members = list.split(',').map(|name| name.trim().trim_matches('"').to_owned());
    members.filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_member_of_the_workspace_is_copied() {
    let stage = dependencies("gateway");
    let loop_over = stage.lines().find_map(|line| line.strip_prefix("RUN for member in ")).unwrap();
    let stubs = loop_over.split("; do").next().unwrap();
    for member in members() {
        assert!(stage.contains(&format!("COPY {member}/Cargo.toml {member}/\n")), "{member} is not copied");
        assert!(stubs.split(' ').any(|name| name == member), "{member} gets no empty program");
    }
}

#[test]
fn every_manifest_is_in_the_build_context() {
    let ignore = read(".dockerignore");
    let included: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for member in members() {
        let manifest = format!("{member}/Cargo.toml");
        let is_included = |path: &&str| manifest == **path || manifest.starts_with(&format!("{path}/"));
        assert!(included.iter().any(is_included), ".dockerignore excludes {manifest}");
    }
}
