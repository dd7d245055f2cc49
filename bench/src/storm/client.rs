//! One client of a storm.

use crate::tcp::Tcp;

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It waits before it connects again.
    #[default]
    Waiting,
    /// TCP connects.
    Connecting,
    /// The upgrade to WebSocket was requested.
    Upgrading,
    /// It waits for the first packet.
    Opening,
    /// It sent CONNECT.
    SigningIn,
    /// It joins its room.
    Joining,
    /// It is back.
    Ready,
    /// The server sent it away for good.
    Gone,
}

/// The present step of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Connect,
    GiveUp,
    Join,
    Echo,
}

/// See the module.
#[derive(Default)]
pub struct Client {
    pub tcp: Option<Tcp>,
    pub stage: Stage,
    /// The beginning of what is not complete yet.
    pub begun: Vec<u8>,
    /// Failed attempts since the last one that succeeded.
    pub failures: u32,
    /// Attempts so far.
    pub attempts: usize,
    plan: Option<(u64, Step)>,
}

impl Client {
    /// Replaces what it has planned.
    pub fn plan(&mut self, at: u64, step: Step) {
        self.plan = Some((at, step));
    }

    /// The step that is planned for this time, if it still is.
    pub fn due(&mut self, at: u64) -> Option<Step> {
        self.plan.take_if(|(planned, _)| *planned == at).map(|(_, step)| step)
    }

    /// The server has sent the first packet: for the stock client's manager, the connect has succeeded.
    pub fn opened(&mut self) {
        self.stage = Stage::SigningIn;
        self.failures = 0;
        self.plan = None;
    }

    pub fn ready(&mut self) {
        self.stage = Stage::Ready;
        self.plan = None;
    }

    pub fn disconnected(&mut self) {
        self.tcp = None;
        self.stage = Stage::Waiting;
        self.begun = Vec::new();
        self.plan = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_plan_counts() {
        let mut client = Client::default();
        client.plan(10, Step::GiveUp);
        client.plan(20, Step::Join);
        assert_eq!((client.due(10), client.due(20), client.due(20)), (None, Some(Step::Join), None));
        client.plan(30, Step::GiveUp);
        client.opened();
        assert_eq!((client.due(30), client.stage), (None, Stage::SigningIn));
    }
}
