//! Why a CONNECT is refused.

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The client receives this code, and does not reconnect by itself.
    Permanent(&'static str),
    /// The namespace's hook refused the client, with this code of its own: like [`Refusal::Permanent`].
    ByHook(Box<str>),
    /// The back end, the hook or the key set did not answer: the client reconnects by itself.
    Temporary,
    /// The user connects too fast: temporary, too.
    TooFast,
}

impl Refusal {
    /// Its code, for clients and logs.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::ByHook(code) => code,
            Self::Permanent(code) => code,
            Self::Temporary => "unavailable",
            Self::TooFast => "user_connect_rate",
        }
    }

    /// Its code in metrics: one for all codes of hooks.
    pub(super) fn label(&self) -> &str {
        match self {
            Self::ByHook(_) => "refused_by_hook",
            other => other.code(),
        }
    }
}
