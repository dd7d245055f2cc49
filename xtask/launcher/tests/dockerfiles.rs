//! Checks the Dockerfiles against each other and against the workspace: a member that they do not copy fails every
//! build of an image, and nothing else would show it earlier.

use std::{collections::BTreeSet, fs, path::PathBuf};

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

/// The folders of our crates that a crate is built from, itself among them.
fn sources(member: &str) -> BTreeSet<String> {
    let root = read("Cargo.toml");
    let (mut found, mut next) = (BTreeSet::new(), vec![member.to_owned()]);
    while let Some(member) = next.pop() {
        let manifest = read(&format!("{member}/Cargo.toml"));
        let dependencies = manifest.split_once("\n[dependencies]\n").map_or("", |(_, rest)| rest);
        let names =
            dependencies.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('.'));
        for (name, _) in names.filter(|(name, _)| name.starts_with("jackfield-")) {
            let (_, path) = root.split_once(&format!("\n{name} = {{ path = \"")).unwrap_or_else(|| panic!("{name}"));
            next.extend(path.split('"').next().map(str::to_owned));
        }
        found.insert(member);
        next.retain(|member| !found.contains(member));
    }
    found
}

#[test]
fn the_sources_of_every_crate_that_is_needed_are_copied() {
    for (service, member) in SERVICES.into_iter().zip(["gateway", "auth-service", "deploy/standalone"]) {
        let dockerfile = read(&format!("deploy/docker/{service}/Dockerfile"));
        let (_, build) = dockerfile.split_once("\nFROM dependencies AS build\n").unwrap();
        let copied: Vec<&str> =
            build.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next()).collect();
        let needed = sources(member);
        assert!(needed.contains("shared") && needed.contains("gateway/cluster"), "{service}: {needed:?}");
        for folder in needed {
            let is_copied = copied.iter().any(|from| folder == *from || folder.starts_with(&format!("{from}/")));
            assert!(is_copied, "{service}: {folder} is not copied");
        }
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
