//! The text that configures one hook. Pure.
//!
//! `name;url=URL;events=PATTERN+PATTERN;namespace=/;timeout=5s;connect;facts=PATTERN+PATTERN;secretFile=PATH+PATH`
//!
//! Any order after the name; at least one of `events`, `connect` and `facts`. Errors never show a value, because the
//! URL may hold a secret.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;

use super::patterns::Patterns;

/// The time that a call may take: unless configured, and at most.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Most characters of a hook's name, which is a metric label.
const MAX_NAME: usize = 64;
/// Most files of secrets: the new one, and the one that it replaces.
const MAX_SECRETS: usize = 2;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// 1 to 64 of letters, digits, `_ . -`.
    pub(super) name: String,
    pub(super) url: Url,
    /// The client events that it handles.
    pub(super) events: Patterns,
    /// The facts that it gets.
    pub(super) facts: Patterns,
    /// Whether it decides who joins the namespace.
    pub(super) connect: bool,
    pub(super) namespace: String,
    pub(super) timeout: Duration,
    pub(super) secret_files: Vec<PathBuf>,
}

/// The name that a text begins with, for messages about it.
pub(super) fn name_of(text: &str) -> Option<&str> {
    text.split(';').next().map(str::trim).filter(|name| is_name(name))
}

impl Rule {
    /// # Errors
    /// Says what is wrong, without the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|name| is_name(name)).ok_or_else(|| {
            format!("it must begin with a name of 1 to {MAX_NAME} letters, digits, `_`, `.` or `-`, and a `;`")
        })?;
        let mut values = Values::default();
        parts.filter(|part| !part.is_empty()).try_for_each(|part| values.add(part))?;
        let patterns = |key, text: Option<&str>| match text {
            Some(text) => Patterns::parse(text).map_err(|error| format!("`{key}`: {error}")),
            None => Ok(Patterns::default()),
        };
        let rule = Self {
            name: name.to_owned(),
            url: url(values.url.ok_or("`url=` is missing")?)?,
            events: patterns("events", values.events)?,
            facts: patterns("facts", values.facts)?,
            connect: values.connect,
            namespace: values.namespace.unwrap_or("/").to_owned(),
            timeout: values.timeout.map_or(Ok(TIMEOUT), timeout)?,
            secret_files: secret_files(values.secret_file.ok_or("`secretFile=` is missing: calls are signed")?)?,
        };
        match rule.events.is_empty() && rule.facts.is_empty() && !rule.connect {
            true => Err("set at least one of `events`, `connect` and `facts`".into()),
            false => Ok(rule),
        }
    }
}

/// The parts of a text, each at most once.
#[derive(Default)]
struct Values<'a> {
    url: Option<&'a str>,
    events: Option<&'a str>,
    facts: Option<&'a str>,
    namespace: Option<&'a str>,
    timeout: Option<&'a str>,
    secret_file: Option<&'a str>,
    connect: bool,
}

impl<'a> Values<'a> {
    fn add(&mut self, part: &'a str) -> Result<(), String> {
        if part == "connect" {
            self.connect = true;
            return Ok(());
        }
        // The key is not shown: a `;` within a URL would make a key of its end.
        let unknown = "unknown key: there are `url`, `events`, `namespace`, `timeout`, `connect`, `facts` and \
                       `secretFile`; a `;` within a URL is written as %3B";
        let (key, value) = part.split_once('=').ok_or(unknown)?;
        let place = match key.trim() {
            "url" => &mut self.url,
            "events" => &mut self.events,
            "facts" => &mut self.facts,
            "namespace" => &mut self.namespace,
            "timeout" => &mut self.timeout,
            "secretFile" => &mut self.secret_file,
            _ => return Err(unknown.into()),
        };
        let value = value.trim();
        if value.is_empty() {
            return Err("a value is empty".into());
        }
        match place.replace(value) {
            Some(_) => Err("a key is there twice".into()),
            None => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

fn url(text: &str) -> Result<Url, String> {
    let wrong = "`url` must be a URL with `http://` or `https://` and a host, without user, password and `#`";
    let url = Url::parse(text).map_err(|_| wrong)?;
    let good = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    if good { Ok(url) } else { Err(wrong.into()) }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).ok().filter(|time| !time.is_zero() && *time <= MAX_TIMEOUT);
    timeout.ok_or_else(|| "`timeout` must be a time such as `5s` or `500ms`, at most `60s`".into())
}

fn secret_files(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths: Vec<PathBuf> = text.split('+').map(str::trim).map(PathBuf::from).collect();
    let good = paths.len() <= MAX_SECRETS && paths.iter().all(|path| !path.as_os_str().is_empty());
    if good { Ok(paths) } else { Err("`secretFile` must be PATH, or PATH+PATH while the secret is replaced".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: &str = "orders;url=https://shop.example.com/hooks?a=b;events=order:*+cart:add;namespace=/chat;timeout=500ms;\
        connect;facts=session.*;secretFile=/run/new+/run/old";

    #[test]
    fn every_key_is_read() {
        let rule = Rule::parse(ALL).unwrap();
        let expected = Rule {
            name: "orders".into(),
            url: Url::parse("https://shop.example.com/hooks?a=b").unwrap(),
            events: Patterns::parse("order:*+cart:add").unwrap(),
            facts: Patterns::parse("session.*").unwrap(),
            connect: true,
            namespace: "/chat".into(),
            timeout: Duration::from_millis(500),
            secret_files: vec!["/run/new".into(), "/run/old".into()],
        };
        assert_eq!(rule, expected);
        assert_eq!(name_of(ALL), Some("orders"));
    }

    #[test]
    fn all_but_url_secret_and_a_purpose_may_be_omitted() {
        let rule = Rule::parse(" a ; secretFile = /s ; connect ; url = http://10.0.0.1:8080 ; ").unwrap();
        assert!(rule.connect && rule.events.is_empty() && rule.facts.is_empty());
        assert_eq!((rule.namespace.as_str(), rule.timeout), ("/", TIMEOUT));
    }

    #[test]
    fn invalid_texts_are_refused_without_showing_a_value() {
        let good = "url=http://h/;events=a;secretFile=/s";
        assert!(Rule::parse(&format!("a;{good}")).is_ok());
        for (text, part) in [
            ("", "a name"),
            ("url=http://hidden/;events=a;secretFile=/s", "a name"),
            ("a b;url=http://hidden/;events=a;secretFile=/s", "a name"),
            ("a;events=a;secretFile=/hidden", "`url=` is missing"),
            ("a;url=http://hidden/;events=a", "`secretFile=` is missing"),
            ("a;url=http://hidden/;secretFile=/hidden", "at least one of"),
            ("a;url=ftp://hidden/;events=a;secretFile=/s", "`url`"),
            ("a;url=hidden;events=a;secretFile=/s", "`url`"),
            ("a;url=http://hidden:hidden@h/;events=a;secretFile=/s", "`url`"),
            ("a;url=http://h/#hidden;events=a;secretFile=/s", "`url`"),
            ("a;url=http://h/?x;hidden=1;events=a;secretFile=/s", "%3B"),
            ("a;url=http://h/?x;hidden;events=a;secretFile=/s", "%3B"),
            ("a;url=http://h/;events=a*b;secretFile=/s", "`events`"),
            ("a;url=http://h/;facts=;secretFile=/s", "empty"),
            ("a;url=http://h/;events=a;events=b;secretFile=/s", "twice"),
            ("a;url=http://h/;events=a;timeout=0s;secretFile=/s", "`timeout`"),
            ("a;url=http://h/;events=a;timeout=61s;secretFile=/s", "`timeout`"),
            ("a;url=http://h/;events=a;timeout=5;secretFile=/s", "`timeout`"),
            ("a;url=http://h/;events=a;secretFile=/1+/2+/3", "`secretFile`"),
            ("a;url=http://h/;events=a;secretFile=+/2", "`secretFile`"),
        ] {
            let error = Rule::parse(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("hidden"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,80}") {
            let _ = (Rule::parse(&text), name_of(&text));
        }
    }
}
