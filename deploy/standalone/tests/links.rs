//! Checks the repository's Markdown: every link between its files leads somewhere, and the index has every page.
//!
//! Links to other hosts are not followed: a test must not depend on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// Most lines of the README: whatever is longer has a page of its own.
const README_LINES: usize = 200;

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(here)
}

/// The Markdown files below a folder, by their paths from the root.
fn pages(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || ["target", "node_modules"].contains(&name) {
            continue;
        }
        if path.is_dir() {
            pages(&path, found);
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.insert(path.strip_prefix(root()).unwrap_or(&path).to_owned(), text);
        }
    }
}

fn all_pages() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    pages(root(), &mut found);
    found
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of the links in a text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(numbered).find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}

/// `a/b/../c` → `a/c`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[test]
fn links_lead_somewhere() {
    let pages = all_pages();
    let mut broken = Vec::new();
    let mut count = 0;
    for (page, text) in &pages {
        for link in links(text).filter(|link| !link.contains("://")) {
            count += 1;
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let target = match path {
                "" => page.clone(),
                path => normal(&page.parent().unwrap_or(page).join(path)),
            };
            let is_there = root().join(&target).exists();
            let has = |anchor: &str| pages.get(&target).is_none_or(|text| anchors(text).contains(anchor));
            if !is_there || !anchor.is_none_or(has) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(count > 100, "found {count} links");
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn the_indexes_have_every_page() {
    let pages = all_pages();
    for index in ["docs/README.md", "docs/decisions/README.md"] {
        let folder = Path::new(index).parent().unwrap_or(Path::new(""));
        let linked: BTreeSet<PathBuf> = links(&pages[Path::new(index)])
            .map(|link| normal(&folder.join(link.split('#').next().unwrap_or(link))))
            .collect();
        let below = |page: &&PathBuf| page.starts_with(folder) && **page != *Path::new(index);
        // The decisions have an index of their own.
        let own =
            |page: &&PathBuf| folder.ends_with("decisions") || !page.parent().is_some_and(|p| p.ends_with("decisions"));
        let missing: Vec<_> = pages.keys().filter(below).filter(own).filter(|page| !linked.contains(*page)).collect();
        assert!(missing.is_empty(), "{index} does not link {missing:?}");
    }
}

#[test]
fn readme_is_short() {
    let lines = all_pages()[Path::new("README.md")].lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines, at most {README_LINES}: move something to docs/");
}
