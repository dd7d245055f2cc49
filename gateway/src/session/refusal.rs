//! Why a namespace is not joined.

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Permanent: the code that the client receives.
    Permanent(&'static str),
    /// Temporary: the client reconnects by itself.
    Temporary,
    /// The user connects too fast: temporary, too.
    TooFast,
}

impl Refusal {
    /// Its name in metrics and in the log.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Permanent(code) => code,
            Self::Temporary => "unavailable",
            Self::TooFast => "user_connect_rate",
        }
    }
}
