//! Settings: defaults < file (TOML) < environment < `--set key=value`.
//!
//! Every setting has one key in camelCase with dots (`session.onConflict`) and, made from it, one environment variable
//! (`SESSION_ON_CONFLICT`); the same with `_FILE` names a file that holds the value, as containers receive secrets.
//! Guarantees: an unknown key in the file or in `--set` is refused; an error names the key and the expected value, and
//! the source if the key is unknown or the text has the wrong type, never the actual value, which may be a secret. The
//! type of a setting is that of its default; a list is written with commas, or as a JSON array if an item holds one.

mod declare;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
    value::{Dict, Num, Value},
};

#[doc(hidden)]
pub use self::declare::row;
pub use self::declare::{Setting, Settings, camel_case, list};

/// The sources of settings.
#[derive(Default, Clone)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that belong to no setting are ignored.
    pub environment: Vec<(String, String)>,
    /// `key=value` of the command line.
    pub overrides: Vec<String>,
    /// Keys that belong to another part of the same process, and are ignored silently.
    pub others: Vec<String>,
}

/// A message that names the invalid setting.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    /// For a setting that has the right type but makes no sense.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Reads the settings of a program.
///
/// # Errors
/// Unknown keys, values of the wrong type, an unreadable file.
pub fn load<S: Settings>(sources: &Sources) -> Result<S, SettingsError> {
    load_over(S::default(), sources)
}

/// Reads the settings of a program with other defaults.
///
/// # Errors
/// As [`load`].
pub fn load_over<S: Settings>(defaults: S, sources: &Sources) -> Result<S, SettingsError> {
    let defaults = Serialized::defaults(defaults);
    let types = flatten(&Figment::from(&defaults).extract::<Dict>().map_err(|error| explain(&error))?);
    let known = |key: &str| types.contains_key(key);
    let check = |key: &str, from: &str| match known(key) || sources.others.iter().any(|other| other == key) {
        true => Ok(()),
        false => Err(SettingsError(format!("unknown setting `{key}` ({from}){}", suggestion(key, types.keys())))),
    };

    let mut figment = Figment::from(&defaults);
    if let Some(path) = &sources.file {
        let from = format!("in {}", path.display());
        let file = read_file(path)?;
        for (key, value) in flatten(&file) {
            check(&key, &from)?;
            if known(&key) {
                figment = figment.merge((key, value));
            }
        }
    }
    let environment = sources.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (key, default) in &types {
        if let Some((text, from)) = from_environment(key, &environment)? {
            figment = figment.merge((key.clone(), typed(key, &text, default, &from)?));
        }
    }
    for pair in &sources.overrides {
        let (key, text) =
            pair.split_once('=').ok_or_else(|| SettingsError(format!("`--set {pair}` must be key=value")))?;
        check(key, "--set")?;
        if let Some(default) = types.get(key) {
            figment = figment.merge((key.to_owned(), typed(key, text, default, "--set")?));
        }
    }
    figment.extract().map_err(|error| explain(&error))
}

/// `session.onConflict` → `SESSION_ON_CONFLICT`.
#[must_use]
pub fn env_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        match letter {
            '.' => name.push('_'),
            letter if letter.is_ascii_uppercase() => name.extend(['_', letter]),
            letter => name.push(letter.to_ascii_uppercase()),
        }
    }
    name
}

/// A setting's text in the environment, from its variable or from the file that `…_FILE` names, and which of the two it
/// was. The line end that an editor leaves at a file's end is not part of the value.
fn from_environment(key: &str, environment: &BTreeMap<&str, &str>) -> Result<Option<(String, String)>, SettingsError> {
    let name = env_name(key);
    let of_file = format!("{name}_FILE");
    match (environment.get(name.as_str()), environment.get(of_file.as_str())) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(((*text).to_owned(), format!("environment variable {name}")))),
        (None, Some(path)) => {
            let from = format!("environment variable {of_file}, file {path}");
            let text = std::fs::read_to_string(path)
                .map_err(|error| SettingsError(format!("setting `{key}` ({from}) cannot be read: {error}")))?;
            Ok(Some((text.trim_end_matches(['\r', '\n']).to_owned(), from)))
        }
        (Some(_), Some(_)) => Err(SettingsError(format!("setting `{key}`: set one of {name} and {of_file}, not both"))),
    }
}

/// The documented table: a row for each setting, made from the code.
#[must_use]
pub fn markdown_table<S: Settings>() -> String {
    let defaults = Figment::from(Serialized::defaults(S::default())).extract::<Dict>().map(|dict| flatten(&dict));
    let defaults = defaults.unwrap_or_default();
    let mut table = String::from("| setting | environment | default | what it does |\n|---|---|---|---|\n");
    for Setting { key, doc } in list::<S>() {
        let default = defaults.get(&key).map(display).unwrap_or_default();
        table += &format!("| `{key}` | `{}` | {default} | {doc} |\n", env_name(&key));
    }
    table
}

fn read_file(path: &Path) -> Result<Dict, SettingsError> {
    if !path.is_file() {
        return Err(SettingsError(format!("settings file {} does not exist: check `--config`", path.display())));
    }
    Figment::from(Toml::file_exact(path)).extract::<Dict>().map_err(|error| explain(&error))
}

fn flatten(dict: &Dict) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (key, value) in dict {
        match value {
            Value::Dict(_, inner) => {
                flat.extend(flatten(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            other => {
                flat.insert(key.clone(), other.clone());
            }
        }
    }
    flat
}

fn typed(key: &str, text: &str, default: &Value, from: &str) -> Result<Value, SettingsError> {
    let wrong = |expected: &str| SettingsError(format!("setting `{key}` ({from}) must be {expected}"));
    Ok(match default {
        Value::Num(_, Num::F32(_) | Num::F64(_)) => {
            text.parse::<f64>().map(Value::from).map_err(|_| wrong("a number"))?
        }
        Value::Num(..) => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number"))?,
        Value::Bool(..) => text.parse::<bool>().map(Value::from).map_err(|_| wrong("`true` or `false`"))?,
        Value::Array(..) if text.trim_start().starts_with('[') => {
            let items: Vec<String> = serde_json::from_str(text).map_err(|_| wrong("a JSON array of strings"))?;
            Value::from(items)
        }
        Value::Array(..) => {
            let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            Value::from(items)
        }
        _ => Value::from(text),
    })
}

fn display(value: &Value) -> String {
    match value {
        Value::String(_, text) if text.is_empty() => "none".into(),
        Value::String(_, text) => format!("`{text}`"),
        Value::Num(_, number) => {
            let whole = number.to_u128().map(|n| n.to_string()).or_else(|| number.to_i128().map(|n| n.to_string()));
            whole.or_else(|| number.to_f64().map(|n| n.to_string())).map(|n| format!("`{n}`")).unwrap_or_default()
        }
        Value::Bool(_, flag) => format!("`{flag}`"),
        Value::Array(_, items) => items.iter().map(display).collect::<Vec<_>>().join(", "),
        _ => "none".into(),
    }
}

fn suggestion<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> String {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['.', '_', '-'], "");
    let wanted = plain(key);
    let close =
        known.filter(|other| plain(other).contains(&wanted) || wanted.contains(&plain(other))).max_by_key(|k| k.len());
    close.map(|other| format!("; did you mean `{other}`?")).unwrap_or_default()
}

fn explain(error: &figment::Error) -> SettingsError {
    let path = error.path.join(".");
    let expected = match &error.kind {
        figment::error::Kind::InvalidType(_, expected) | figment::error::Kind::InvalidValue(_, expected) => {
            format!("must be {expected}")
        }
        figment::error::Kind::UnknownVariant(_, allowed) => format!("must be one of {}", allowed.join(", ")),
        figment::error::Kind::Message(text) if path.is_empty() => text.clone(),
        _ => "has an invalid value".into(),
    };
    let subject = if path.is_empty() { "settings:".into() } else { format!("setting `{path}`") };
    SettingsError(format!("{subject} {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// An example.
        pub struct Example {
            /// The port.
            port: u16 = 3000,
            /// A secret
            /// on two lines.
            secret: String = String::new(),
            groups { session: Inner }
        }
        /// A group.
        pub struct Inner {
            /// c
            on_conflict: String = "evict".into(),
            /// l
            limit: u32 = 1,
            /// l
            list: Vec<String> = vec!["a".into()],
            /// p
            part: f64 = 0.25,
        }
    }

    fn sources(environment: &[(&str, &str)], overrides: &[&str]) -> Sources {
        Sources {
            environment: environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            overrides: overrides.iter().map(|pair| (*pair).into()).collect(),
            ..Sources::default()
        }
    }

    #[test]
    fn flags_beat_environment_beats_file_beats_defaults() {
        let dir = std::env::temp_dir().join(format!("settings-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&dir, "port = 1\n[session]\nlimit = 1\nonConflict = \"reject\"\n").unwrap();
        let mut from = sources(&[("PORT", "2"), ("SESSION_LIMIT", "2"), ("HOME", "/x")], &["session.limit=3"]);
        from.file = Some(dir.clone());
        let read: Example = load(&from).unwrap();
        std::fs::remove_file(dir).unwrap();
        assert_eq!((read.port, read.session.limit, read.session.on_conflict.as_str()), (2, 3, "reject"));
    }

    #[test]
    fn a_file_named_by_the_environment_holds_the_value() {
        let file = std::env::temp_dir().join(format!("secret-{}", uuid::Uuid::new_v4()));
        std::fs::write(&file, "from a file \r\n").unwrap();
        let path = file.to_str().unwrap();
        let read: Example = load(&sources(&[("SECRET_FILE", path)], &[])).unwrap();
        assert_eq!(read.secret, "from a file ");
        let read: Example = load(&sources(&[("SECRET_FILE", path)], &["secret=flag"])).unwrap();
        assert_eq!(read.secret, "flag");
        let wrong = |environment: &[(&str, &str)]| load::<Example>(&sources(environment, &[])).unwrap_err().to_string();
        assert_eq!(
            wrong(&[("SECRET_FILE", path), ("SECRET", "x")]),
            "setting `secret`: set one of SECRET and SECRET_FILE, not both"
        );
        assert_eq!(
            wrong(&[("PORT_FILE", path)]),
            format!("setting `port` (environment variable PORT_FILE, file {path}) must be a whole number")
        );
        std::fs::remove_file(&file).unwrap();
        assert!(wrong(&[("SECRET_FILE", path)]).starts_with(&format!(
            "setting `secret` (environment variable SECRET_FILE, file {path}) cannot be read: "
        )));
    }

    #[test]
    fn strings_stay_strings_and_lists_are_split() {
        let read: Example = load(&sources(&[("SECRET", "12345"), ("SESSION_LIST", "x, y")], &[])).unwrap();
        assert_eq!((read.secret.as_str(), read.session.list), ("12345", vec!["x".to_string(), "y".into()]));
        let read: Example = load(&sources(&[], &[r#"session.list=["x, y", "z"]"#])).unwrap();
        assert_eq!(read.session.list, ["x, y", "z"]);
        for (text, part) in [("0.5", 0.5), ("1", 1.0)] {
            assert_eq!(load::<Example>(&sources(&[("SESSION_PART", text)], &[])).unwrap().session.part, part);
        }
        assert!(load::<Example>(&sources(&[], &["session.list=[1]"])).is_err());
    }

    #[test]
    fn errors_name_the_key_and_never_the_value() {
        let wrong = |s: Sources| load::<Example>(&s).unwrap_err().to_string();
        assert_eq!(
            wrong(sources(&[("PORT", "abc")], &[])),
            "setting `port` (environment variable PORT) must be a whole number"
        );
        assert!(wrong(sources(&[("SESSION_PART", "all")], &[])).ends_with("must be a number"));
        assert!(wrong(sources(&[("PORT", "70000")], &[])).contains("`port`"));
        assert_eq!(
            wrong(sources(&[], &["session.onconflict=x"])),
            "unknown setting `session.onconflict` (--set); did you mean `session.onConflict`?"
        );
        assert!(wrong(sources(&[], &["port"])).contains("key=value"));
    }

    #[test]
    fn the_table_has_a_row_for_each_field() {
        let rows = "| `port` | `PORT` | `3000` | The port |
| `secret` | `SECRET` | none | A secret on two lines |
| `session.onConflict` | `SESSION_ON_CONFLICT` | `evict` | c |
| `session.limit` | `SESSION_LIMIT` | `1` | l |
| `session.list` | `SESSION_LIST` | `a` | l |
| `session.part` | `SESSION_PART` | `0.25` | p |
";
        assert!(markdown_table::<Example>().ends_with(rows), "{}", markdown_table::<Example>());
    }
}
