//! The keys and arguments with which a script records facts.

use std::sync::Arc;

use crate::{
    facts::{FactTerms, Kinds},
    partition::{PARTITIONS, Partition},
    redis::{keys::Keys, streams::millis},
};

/// A script's outbox: no keys and no settings if nothing that the script does is recorded.
#[derive(Clone)]
pub(crate) struct Outbox(Option<Arc<str>>);

impl Outbox {
    /// The outbox of a script that may record these kinds.
    pub(crate) fn new(terms: &FactTerms, kinds: Kinds) -> Self {
        let recorded = terms.kinds.and(kinds);
        if recorded.is_empty() {
            return Self::none();
        }
        let kept = (terms.max / u64::from(PARTITIONS)).max(1);
        let mut settings = format!("{kept} {} ", millis(terms.age));
        for kind in recorded.iter() {
            settings.push_str(kind.as_str());
            settings.push(' ');
        }
        Self(Some(settings.into()))
    }

    /// Records nothing.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The settings, and the keys of the partition's facts, if anything is recorded.
    pub(crate) fn of(&self, keys: &Keys, partition: Partition) -> Option<(&str, [String; 2])> {
        let settings = self.settings()?;
        Some((settings, keys.facts(partition)))
    }
}
