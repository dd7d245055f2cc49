//! The CONNECTs of a connection whose hooks are being asked. Pure.

/// See the module. At most one for each namespace.
#[derive(Default)]
pub(super) struct PendingConnects {
    /// Each namespace with a ticket of its own.
    waiting: Vec<(Box<str>, u32)>,
    /// Tickets so far.
    tickets: u32,
}

impl PendingConnects {
    /// The namespace's hook is about to be asked. Returns a ticket; `None` if it is being asked already.
    pub(super) fn begin(&mut self, namespace: &str) -> Option<u32> {
        if self.waiting.iter().any(|(waiting, _)| **waiting == *namespace) {
            return None;
        }
        self.tickets = self.tickets.wrapping_add(1);
        self.waiting.push((namespace.into(), self.tickets));
        Some(self.tickets)
    }

    /// The hook has answered. False if the client has withdrawn its CONNECT.
    pub(super) fn finish(&mut self, ticket: u32) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(_, other)| *other != ticket);
        self.waiting.len() < before
    }

    /// The client has sent a DISCONNECT: the hook's answer has no effect.
    pub(super) fn withdraw(&mut self, namespace: &str) {
        self.waiting.retain(|(waiting, _)| **waiting != *namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_and_for_its_own_connect() {
        let mut pending = PendingConnects::default();
        let (first, other) = (pending.begin("/a").unwrap(), pending.begin("/b").unwrap());
        assert_eq!(pending.begin("/a"), None);
        pending.withdraw("/a");
        let second = pending.begin("/a").unwrap();
        assert!(!pending.finish(first) && pending.finish(second) && !pending.finish(second));
        assert!(pending.finish(other));
    }
}
