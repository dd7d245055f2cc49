//! Why a session ended.

/// The reason of a session's end, as the fact `session.ended` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client closed the transport, or left all namespaces.
    Client,
    /// The transport failed.
    TransportError,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// The client broke the rules of the transport or sent a malformed packet.
    Malformed,
    /// The client did not read its queue fast enough.
    TooSlow,
    /// The client kept sending above its rate limit.
    Flooding,
    /// The back end did not answer, so that a claim or a join could not be completed: the client reconnects.
    Unavailable,
    /// The node shut down.
    Draining,
    /// The node died.
    NodeLost,
    /// A newer session of the user replaced it.
    Replaced,
    /// Its client came back to its record with another session.
    Resumed,
    /// A backend ended it.
    EndedByBackend,
    /// The token was revoked.
    Revoked,
    /// The login ended.
    Logout,
    /// The user was deactivated.
    Deactivated,
    /// The token expired.
    TokenExpired,
}

impl EndReason {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::TransportError => "transport_error",
            Self::PingTimeout => "ping_timeout",
            Self::Malformed => "malformed",
            Self::TooSlow => "too_slow",
            Self::Flooding => "flooding",
            Self::Unavailable => "unavailable",
            Self::Draining => "draining",
            Self::NodeLost => "node_lost",
            Self::Replaced => "replaced",
            Self::Resumed => "resumed",
            Self::EndedByBackend => "ended_by_backend",
            Self::Revoked => "revoked",
            Self::Logout => "logout",
            Self::Deactivated => "deactivated",
            Self::TokenExpired => "token_expired",
        }
    }
}
