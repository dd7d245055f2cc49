//! Why a CONNECT is refused.

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The client receives this code, and does not reconnect by itself.
    Permanent(&'static str),
    /// The back end or the key set did not answer: the client reconnects by itself.
    Temporary,
    /// The user connects too fast: temporary, too.
    TooFast,
}

impl Refusal {
    /// Its code, for clients, metrics and logs.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Permanent(code) => code,
            Self::Temporary => "unavailable",
            Self::TooFast => "user_connect_rate",
        }
    }
}
