//! Why a connection ended.

/// The first of the reasons that applied. Its name is a metric label, and stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed the transport.
    ClientClosed,
    /// The transport failed.
    TransportError,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// The client broke the rules of the transport, such as by two polls at a time.
    ProtocolError,
    /// The client sent something that is no packet.
    Malformed,
    /// The client did not read as fast as it was sent to.
    TooSlow,
    /// The client sent too fast for too long.
    Flooding,
    /// The client joined no namespace in time, or was in none for too long.
    Idle,
    /// The back end did not answer a CONNECT, or a join had to be undone: the client reconnects.
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
