//! Known differences between an engine and Engine.IO's own server, or the interface's promises, with their reasons.
//!
//! A case that meets a difference asserts what the engine does instead.

use jackfield_engine::EngineKind;

/// A difference of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The first ping follows the open packet at once, not after an interval.
    PingsAtOnce,
    /// Answers to polls have no `Cache-Control`.
    NoCacheControl,
    /// A WebSocket that breaks the protocol is closed without a code.
    NoCloseCodes,
    /// A Close with an invalid code is answered as such, but reported as closed by the client.
    InvalidCloseIsAClose,
    /// A frame whose length is encoded in more bytes than needed is received.
    LongFormsOfLengths,
    /// A ping from the client counts as a pong.
    ClientPingIsAPong,
    /// A WebSocket that sends too much before admission ends as a failed transport.
    ExcessIsATransportError,
    /// A WebSocket that this side closes gets Engine.IO's `1` before its Close.
    ClosePacketOnWebSocket,
    /// The connection of a poll that the client cuts goes on.
    CutPollsAreIgnored,
    /// A WebSocket that this side closes is reset if the client sends meanwhile, and loses the rest of its queue.
    UnreadBytesResetTheConnection,
    /// A request that a balancer repeats is answered as a new one.
    RepeatedRequestsAreNew,
    /// The last frames to a polling client and the end of the connection are in one answer, or nothing answers the next
    /// poll.
    CloseWithTheLastFrames,
    /// An empty POST is accepted.
    EmptyPayloadIsAccepted,
    /// A POST with a packet that does not belong there is refused, but the connection goes on.
    UnexpectedPacketsAreOnlyRefused,
    /// After a failed probe every poll is answered with `6` at once, until an upgrade succeeds.
    FailedProbeBlocksPolling,
    /// A probe that is not completed in time ends the connection.
    SlowProbeEndsTheConnection,
    /// A second probe is accepted, and waits for the first one to end.
    SecondProbeWaits,
    /// A packet that is being decoded when another thread ends the connection is received after the end.
    EndOvertakesAPacket,
}

/// The differences of `oxide`, with their reasons.
const OXIDE: &[(Difference, &str)] = &[
    (Difference::PingsAtOnce, "the library's heartbeat begins with a ping"),
    (Difference::NoCacheControl, "the library sets no such header"),
    (Difference::NoCloseCodes, "the library closes with an empty Close after every error of its WebSocket"),
    (Difference::InvalidCloseIsAClose, "tungstenite answers it, and passes it on as a Close"),
    (Difference::LongFormsOfLengths, "tungstenite accepts any form"),
    (Difference::ClientPingIsAPong, "in version 3 clients ping, and the library shares the code"),
    (Difference::ExcessIsATransportError, "only an error of its stream can stop the library from reading"),
    (Difference::ClosePacketOnWebSocket, "the library sends it over every transport"),
    (Difference::CutPollsAreIgnored, "the library does not notice that the connection of a poll ends"),
    (Difference::UnreadBytesResetTheConnection, "the library stops reading when it begins to close"),
    (Difference::RepeatedRequestsAreNew, "the library does not look at `t`"),
    (Difference::CloseWithTheLastFrames, "the library takes all that is queued for the next answer"),
    (Difference::EmptyPayloadIsAccepted, "the library reads it as no packets"),
    (Difference::UnexpectedPacketsAreOnlyRefused, "the library closes only after a packet that it cannot parse"),
    (Difference::FailedProbeBlocksPolling, "the library forgets to reset that the connection is upgrading"),
    (Difference::SlowProbeEndsTheConnection, "the library closes after its `upgrade_timeout`"),
    (Difference::SecondProbeWaits, "the library only checks whether the upgrade is complete"),
    (
        Difference::EndOvertakesAPacket,
        "the reader looks up its session before it decodes a packet, and the end does not wait for it",
    ),
];

/// Whether the engine differs in this way.
pub fn differs(kind: EngineKind, difference: Difference) -> bool {
    let known = match kind {
        EngineKind::Native => &[],
        EngineKind::Oxide => OXIDE,
    };
    known.iter().any(|(one, _)| *one == difference)
}
