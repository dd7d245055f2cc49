//! Why a connection ended.

/// The first reason that applied. Its name appears in metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed the transport.
    ClientClosed,
    /// The transport failed.
    TransportError,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// The client broke the rules of the transport, for example by two concurrent polls.
    ProtocolError,
    /// The client sent a malformed packet.
    Malformed,
    /// The client did not read its queue fast enough.
    TooSlow,
    /// The client kept sending above its rate limit.
    Flooding,
    /// The client joined no namespace in time, or was in none for too long.
    Idle,
    /// The back end did not answer, so that a CONNECT or a join could not be completed: the client reconnects.
    Unavailable,
    /// The user connected too fast.
    ConnectRate,
    /// The node is shutting down.
    Draining,
}

impl CloseReason {
    /// Every name, for metrics.
    pub const NAMES: &[&str] = &[
        "client_closed",
        "transport_error",
        "ping_timeout",
        "protocol_error",
        "malformed",
        "too_slow",
        "flooding",
        "idle",
        "unavailable",
        "connect_rate",
        "draining",
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::TransportError => "transport_error",
            Self::PingTimeout => "ping_timeout",
            Self::ProtocolError => "protocol_error",
            Self::Malformed => "malformed",
            Self::TooSlow => "too_slow",
            Self::Flooding => "flooding",
            Self::Idle => "idle",
            Self::Unavailable => "unavailable",
            Self::ConnectRate => "connect_rate",
            Self::Draining => "draining",
        }
    }
}
