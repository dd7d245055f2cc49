//! All configured hooks, and which of them an event or a connect belongs to.

use std::{sync::Arc, time::Duration};

use jackfield_shared::settings::SettingsError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Hook, RESERVED,
    rule::{Rule, name_of},
};

/// Time between two reads of the files with secrets.
const REREAD_EVERY: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    all: Vec<Arc<Hook>>,
    /// Events of the gateway that it does not serve.
    off: Vec<Box<str>>,
}

/// The surroundings that hooks must fit into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    /// The gateway's namespaces, feeds apart.
    pub(crate) namespaces: &'a [&'a str],
    /// Names of the events that the gateway serves itself.
    pub(crate) own_events: &'a [&'a str],
    /// Those of them that the configuration turns off.
    pub(crate) off: &'a [String],
    /// Calls of one hook that may be open.
    pub(crate) concurrency: usize,
}

impl Hooks {
    /// Parses the setting `hooks`, and reads the files of the secrets. Calls end when `stopping` is cancelled.
    ///
    /// # Errors
    /// Names the setting and the hook, and never shows a URL or a secret.
    pub(crate) fn parse(
        texts: &[String],
        ground: Ground<'_>,
        stopping: &CancellationToken,
    ) -> Result<Self, SettingsError> {
        if let Some(name) = ground.off.iter().find(|name| !ground.own_events.contains(&name.as_str())) {
            let (name, all) = (name.escape_debug(), ground.own_events.join(", "));
            return Err(SettingsError::new(format!("setting `events.off`: `{name}` is none of the events {all}")));
        }
        let mut rules = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let (number, name) = (index + 1, name_of(text).unwrap_or("no name"));
            let refused = |error| SettingsError::new(format!("setting `hooks`: hook {number} ({name}): {error}"));
            let rule = Rule::parse(text).and_then(|rule| check(&rule, &rules, ground).map(|()| rule));
            rules.push(rule.map_err(refused)?);
        }
        let mut all = Vec::with_capacity(rules.len());
        for (index, rule) in rules.into_iter().enumerate() {
            let (number, name) = (index + 1, rule.name.clone());
            let hook = Hook::new(index, rule, ground.concurrency, stopping.clone());
            all.push(Arc::new(
                hook.map_err(|error| SettingsError::new(format!("setting `hooks`: hook {number} ({name}): {error}")))?,
            ));
        }
        Ok(Self { all, off: ground.off.iter().map(|name| name.as_str().into()).collect() })
    }

    /// All of them, in their order.
    pub(crate) fn all(&self) -> &[Arc<Hook>] {
        &self.all
    }

    /// The hook that an event of this name belongs to, which is none that the gateway serves.
    pub(crate) fn for_event(&self, namespace: &str, name: &str) -> Option<&Arc<Hook>> {
        self.all.iter().find(|hook| *hook.namespace == *namespace && hook.events.matches(name))
    }

    /// The hook that decides who joins this namespace.
    pub(crate) fn for_connect(&self, namespace: &str) -> Option<&Arc<Hook>> {
        self.all.iter().find(|hook| hook.connect && *hook.namespace == *namespace)
    }

    /// The hooks that get facts.
    pub(crate) fn with_facts(&self) -> impl Iterator<Item = &Arc<Hook>> {
        self.all.iter().filter(|hook| !hook.facts.is_empty())
    }

    /// Whether the gateway does not serve this event of its own.
    pub(crate) fn is_off(&self, name: &str) -> bool {
        self.off.iter().any(|off| **off == *name)
    }

    /// Reads changed secrets until `stop`.
    pub(crate) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        while !self.all.is_empty() && stop.run_until_cancelled(sleep(REREAD_EVERY)).await.is_some() {
            for hook in &self.all {
                hook.secrets.reload(&hook.name).await;
            }
        }
    }
}

/// Checks a rule against those before it.
fn check(rule: &Rule, before: &[Rule], ground: Ground<'_>) -> Result<(), String> {
    if before.iter().any(|other| other.name == rule.name) {
        return Err("another hook has this name".into());
    }
    if !ground.namespaces.contains(&rule.namespace.as_str()) {
        return Err(format!("`namespace` must be one of {}", ground.namespaces.join(", ")));
    }
    let neighbours = || before.iter().filter(|other| other.namespace == rule.namespace);
    if rule.connect && neighbours().any(|other| other.connect) {
        return Err("another hook has `connect` for this namespace; only one can decide".into());
    }
    for (index, name) in rule.events.exact().enumerate() {
        if RESERVED.contains(&name) {
            return Err(format!("`{name}` is an event of Socket.IO's own; a hook cannot handle it"));
        }
        let is_off = ground.off.iter().any(|off| off == name);
        if ground.own_events.contains(&name) && !is_off {
            return Err(format!(
                "the gateway serves `{name}` itself; add it to `events.off` if a hook should handle it"
            ));
        }
        let is_twice = rule.events.exact().take(index).any(|other| other == name)
            || neighbours().any(|other| other.events.exact().any(|other| other == name));
        if is_twice {
            return Err(format!("`{name}` has a hook already; an event belongs to one hook of its namespace"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            std::fs::write(folder.0.path().join("s"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
            folder
        }

        fn parse(&self, hooks: &[&str], off: &[&str]) -> Result<Hooks, String> {
            let secret = format!("secretFile={}", self.0.path().join("s").display());
            let texts: Vec<String> = hooks.iter().map(|hook| format!("{hook};{secret}")).collect();
            let off: Vec<String> = off.iter().map(|name| (*name).to_owned()).collect();
            let ground =
                Ground { namespaces: &["/", "/chat"], own_events: &["message", "typing"], off: &off, concurrency: 2 };
            Hooks::parse(&texts, ground, &CancellationToken::new()).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn the_first_hook_of_the_namespace_that_matches_gets_the_event() {
        let folder = Folder::new();
        let hooks = folder.parse(
            &[
                "orders;url=http://a/;events=order:*;connect",
                "rest;url=http://b/;events=*+order:x;facts=session.*",
                "chat;url=http://c/;events=order:*;namespace=/chat",
            ],
            &["typing"],
        );
        let hooks = hooks.unwrap();
        let found = |namespace, name| hooks.for_event(namespace, name).map(|hook| &*hook.name);
        assert_eq!(found("/", "order:x"), Some("orders"));
        assert_eq!(found("/", "cart"), Some("rest"));
        assert_eq!(found("/", "connect"), None);
        assert_eq!(found("/chat", "order:x"), Some("chat"));
        assert_eq!(found("/chat", "cart"), None);
        assert_eq!(hooks.for_connect("/").map(|hook| &*hook.name), Some("orders"));
        assert!(hooks.for_connect("/chat").is_none());
        assert_eq!(hooks.with_facts().map(|hook| &*hook.name).collect::<Vec<_>>(), ["rest"]);
        assert!(hooks.is_off("typing") && !hooks.is_off("message"));
    }

    #[test]
    fn hooks_that_do_not_fit_are_refused() {
        let folder = Folder::new();
        let one = "a;url=http://hidden/;events=x+message:*";
        assert!(folder.parse(&[one, "b;url=http://h/;events=x;namespace=/chat"], &[]).is_ok());
        assert!(folder.parse(&["a;url=http://h/;events=message+typing"], &["message", "typing"]).is_ok());
        for (hooks, part) in [
            (vec![one, one], "hook 2 (a): another hook has this name"),
            (vec!["a;url=http://hidden/;events=x;namespace=/other"], "hook 1 (a): `namespace` must be one of /, /chat"),
            (vec![one, "b;url=http://h/;events=x"], "hook 2 (b): `x` has a hook already"),
            (vec!["a;url=http://h/;events=x+x"], "`x` has a hook already"),
            (vec!["a;url=http://h/;events=message"], "serves `message` itself; add it to `events.off`"),
            (vec!["a;url=http://h/;events=y+disconnect"], "Socket.IO's own"),
            (vec!["a;url=http://h/;connect", "b;url=http://h/;connect"], "hook 2 (b): another hook has `connect`"),
            (vec!["?"], "hook 1 (no name): it must begin with a name"),
        ] {
            let error = folder.parse(&hooks, &[]).unwrap_err();
            assert!(error.starts_with("setting `hooks`: ") && error.contains(part), "{error}");
            assert!(!error.contains("hidden"), "{error}");
        }
        let error = folder.parse(&[], &["nothing"]).unwrap_err();
        assert!(error.contains("`events.off`: `nothing` is none of the events message, typing"), "{error}");
        std::fs::remove_file(folder.0.path().join("s")).unwrap();
        let error = folder.parse(&[one], &[]).unwrap_err();
        assert!(error.starts_with("setting `hooks`: hook 1 (a): `secretFile` "), "{error}");
    }

    #[test]
    fn the_shown_url_has_no_query() {
        let hooks = Folder::new().parse(&["a;url=https://h:1/p?key=secret;connect"], &[]).unwrap();
        assert_eq!(hooks.all()[0].url(), "https://h:1/p");
        assert!(!format!("{hooks:?}").contains("secret"));
    }
}
