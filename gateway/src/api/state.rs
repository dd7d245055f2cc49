//! The state that the endpoints share, and the limits of every call.

use std::{sync::Arc, time::Duration};

use jackfield_shared::http::layers::Limits;

use super::keys::ApiKeys;
use crate::session::Shared;

/// The body limit fits ten thousand users' ids and a message; the time, the longest wait for clients' acknowledgements.
pub(super) const LIMITS: Limits = Limits { body: 2 * 1_024 * 1_024, answer_within: Duration::from_secs(35) };

/// The state that the endpoints share.
pub(crate) struct Api {
    pub(super) shared: Arc<Shared>,
    /// The keys of backends that may call.
    pub(super) keys: ApiKeys,
}

impl Api {
    pub(crate) fn new(shared: &Arc<Shared>, keys: ApiKeys) -> Arc<Self> {
        Arc::new(Self { shared: Arc::clone(shared), keys })
    }
}
