//! The gateway's modules import downwards only, and files form no large circles.
//!
//! Reads `use` statements and paths that begin with `crate`, `super` or `self`, outside of comments and tests. A name
//! that a module re-exports counts as an import of the file that it comes from. Cargo checks the same between crates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The layers, from the top. A module may import those of the layers below its own, and no other of its own.
const LAYERS: [&[&str]; 10] = [
    &["api", "front", "ops"],
    &["node"],
    &["event", "fact"],
    &["emit"],
    &["session"],
    &["room", "feed"],
    &["log_follower"],
    &["hub", "relay", "hook"],
    &["settings"],
    &["limits", "metrics", "notification", "revocation", "roles", "user_id"],
];
/// Files that may import each other in a circle.
const CIRCLE_MAX: usize = 3;

/// A module's path from the crate's root: empty for the root.
type Module = Vec<String>;

/// A source file: the paths that it imports, and the names that it has from elsewhere.
struct Source {
    file: PathBuf,
    imports: Vec<Module>,
    /// `None` if the name comes from another crate.
    names: BTreeMap<String, Option<Module>>,
}

/// A crate's files by their modules.
struct Crate(BTreeMap<Module, Source>);

impl Crate {
    fn read(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut files = Vec::new();
        collect(&root, &mut files);
        let sources = files.into_iter().map(|file| {
            let relative = file.strip_prefix(&root).unwrap_or(&file).with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
                module.pop();
            }
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            (module.clone(), Source::parse(file, &module, &text))
        });
        Self(sources.collect())
    }

    /// The files that each file imports, as modules.
    fn edges(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let targets = |module: &Module, source: &Source| {
            let found = source.imports.iter().filter_map(|path| self.resolve(path));
            found.filter(|target| *target != module).collect()
        };
        self.0.iter().map(|(module, source)| (module, targets(module, source))).collect()
    }

    /// The file that a path leads to.
    fn resolve(&self, path: &[String]) -> Option<&Module> {
        let length = (1..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length]))?;
        let (module, source) = self.0.get_key_value(&path[..length])?;
        match path.get(length).and_then(|name| source.names.get(name)) {
            Some(None) => None,
            Some(Some(origin)) if origin != path => self.resolve(origin),
            _ => Some(module),
        }
    }
}

impl Source {
    fn parse(file: PathBuf, module: &[String], text: &str) -> Self {
        let code: String = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n");
        let (mut imports, mut names, mut children) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut other_code = String::new();
        for statement in code.split(';') {
            let words: Vec<&str> = statement.split_whitespace().collect();
            if let [.., "mod", child] = words[..] {
                children.push(child);
            }
            let Some(at) = words.iter().position(|word| *word == "use") else {
                other_code += statement;
                continue;
            };
            // A re-export is no import of its own.
            let is_public = at > 0 && words[at - 1].starts_with("pub");
            for path in expand(&without_renames(&words[at + 1..])) {
                let name = path.rsplit("::").next().unwrap_or_default().to_owned();
                let path = absolute(module, &path);
                imports.extend(path.clone().filter(|_| !is_public));
                names.insert(name, path);
            }
        }
        for start in ["crate::", "super::"] {
            for (at, _) in other_code.match_indices(start) {
                let rest = other_code[at..].chars();
                let path: String = rest.take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
                imports.extend(absolute(module, path.trim_end_matches(':')));
            }
        }
        // A module names its children without a prefix.
        let is_path = |at: usize| !other_code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
        for child in children {
            if other_code.match_indices(&format!("{child}::")).any(|(at, _)| is_path(at)) {
                imports.extend(absolute(module, &format!("self::{child}")));
            }
        }
        Self { file, imports, names }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") && path.file_name() != Some("main.rs".as_ref()) {
            files.push(path);
        }
    }
}

/// A `use` tree without blanks and without `as …`.
fn without_renames(words: &[&str]) -> String {
    let mut tree = String::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "as" => tree.extend(words.next().into_iter().flat_map(|name| name.chars().filter(|c| "{},".contains(*c)))),
            word => tree += word,
        }
    }
    tree
}

/// The paths of a `use` tree without blanks: `a::{b,c::{d}}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((head, group)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    let inner = parts.iter().filter(|part| !part.is_empty()).flat_map(|part| expand(part));
    inner.map(|path| format!("{head}{path}")).collect()
}

/// A path from the crate's root; `None` if it leads to another crate.
fn absolute(module: &[String], path: &str) -> Option<Module> {
    let mut parts = path.split("::").map(str::to_owned).peekable();
    let mut base = match parts.next()?.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        _ => return None,
    };
    while parts.next_if(|part| part == "super").is_some() {
        base.pop();
    }
    base.extend(parts.filter(|part| part != "self" && part != "*"));
    Some(base)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The imports from one top module to another that are not downwards.
fn upward(sources: &Crate) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, targets) in sources.edges() {
        let Some(top) = from.first() else { continue };
        let own = layer(top);
        if own.is_none() {
            wrong.push(format!("{top} has no layer"));
        }
        let others = targets.iter().filter_map(|target| target.first()).filter(|other| *other != top);
        let bad = others.filter(|other| layer(other).is_none_or(|below| own.is_none_or(|own| below <= own)));
        wrong.extend(bad.map(|other| format!("{} imports {other}", sources.0[from].file.display())));
    }
    wrong
}

/// The files of the circle that each file is in.
fn circles(sources: &Crate) -> BTreeSet<Vec<String>> {
    let edges = sources.edges();
    let reached = |start: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(module) = next.pop() {
            for target in edges.get(&module).into_iter().flatten() {
                if seen.insert((*target).clone()) {
                    next.push((*target).clone());
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&Module, BTreeSet<Module>> = edges.keys().map(|module| (*module, reached(module))).collect();
    let circle = |module: &Module| {
        let mutual = reach[module].iter().filter(|other| reach[other].contains(module));
        mutual.map(|other| other.join("::")).collect::<Vec<_>>()
    };
    reach.keys().map(|module| circle(module)).filter(|circle| circle.len() > 1).collect()
}

#[test]
fn imports_point_downwards() {
    let wrong = upward(&Crate::read("src"));
    assert!(wrong.is_empty(), "only layers below may be imported (see lib.rs):\n{}", wrong.join("\n"));
}

#[test]
fn circles_of_files_are_small() {
    for folder in ["src", "cluster/src", "engine/src"] {
        let large: Vec<_> = circles(&Crate::read(folder)).into_iter().filter(|one| one.len() > CIRCLE_MAX).collect();
        assert!(large.is_empty(), "at most {CIRCLE_MAX} files may import each other, but in {folder} do:\n{large:#?}");
    }
}

/// The check itself: every way to name a module is found.
#[test]
fn an_import_upwards_is_found() {
    let code = "//! crate::api\nuse crate::{session::Shared, node::{start as begin, Report}};\nuse super::sibling;\n\
                fn f() { crate::front::router(); }\n#[cfg(test)]\nmod tests { use crate::ops; }\n";
    let module = ["hub".to_owned(), "group".to_owned()];
    let source = Source::parse(PathBuf::new(), &module, code);
    let found: Vec<String> = source.imports.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["session::Shared", "node::start", "node::Report", "hub::sibling", "front::router"]);
}
