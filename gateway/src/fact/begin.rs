//! The start of hooks that want facts.

use jackfield_cluster::{
    Unavailable,
    facts::{Begin, Kinds},
};
use jackfield_shared::settings::SettingsError;

use crate::{hook::Hooks, session::Shared};

/// Refuses hooks that would never get a fact.
///
/// # Errors
/// Names the settings and the hook.
pub(crate) fn check(hooks: &Hooks, recorded: Kinds) -> Result<(), SettingsError> {
    for hook in hooks.with_facts() {
        for pattern in hook.facts().texts() {
            let Ok(wanted) = Kinds::matching([&*pattern]) else {
                let (name, pattern) = (&hook.name, pattern.escape_debug());
                return Err(SettingsError::new(format!("setting `hooks`: hook {name}: no fact is named `{pattern}`")));
            };
            if wanted.and(recorded).is_empty() {
                return Err(SettingsError::new(format!(
                    "setting `hooks`: hook {} wants facts `{}`, which setting `facts` does not record: set it to `on`, or \
                     to these names",
                    hook.name,
                    pattern.escape_debug()
                )));
            }
        }
    }
    Ok(())
}

/// Makes the place of every hook known before this node takes clients, so that a new hook misses nothing from now on.
///
/// # Errors
/// [`Unavailable`].
pub(crate) async fn begin(shared: &Shared, begin: Begin) -> Result<(), Unavailable> {
    for hook in shared.hooks.with_facts() {
        shared.cluster.facts.begin(&hook.name, begin).await?;
    }
    Ok(())
}
