//! The copy of the list. Pure: time is an argument.
//!
//! Guarantees: of the entries of one subject, the latest counts, in whatever order they arrive; an entry counts from its
//! arrival on, also if others before it are missing; entries that the back end lost count on.

use std::{
    collections::{HashMap, hash_map},
    hash::Hash,
    sync::Arc,
};

use jackfield_cluster::{
    log::Position,
    revocations::{About, Entry, Page},
};
use jackfield_shared::claims::{Mark, Marks};

/// Roles, as a token writes them.
pub(crate) type Roles = Arc<[Box<str>]>;

/// See the module.
#[derive(Default)]
pub(super) struct List {
    /// Everything up to here was read.
    position: Option<Position>,
    logins: HashMap<Mark, Held>,
    tokens: HashMap<Mark, Held>,
    users: HashMap<Arc<str>, OfUser>,
}

/// The entries about all tokens of a user.
#[derive(Default)]
struct OfUser {
    tokens: Option<Held>,
    active: Option<Held>,
    roles: Option<Held>,
}

struct Held {
    /// Its number in the list, and the epoch.
    at: Position,
    entry: Entry,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The user is inactive; else the token is revoked.
    pub(crate) is_inactive: bool,
    /// For the client.
    pub(crate) reason: Arc<str>,
}

/// The result of entries that arrived over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Everything up to them was received.
    InOrder,
    /// The list must be read: others may be missing.
    Behind,
}

impl List {
    pub(super) fn judge(&self, user: &str, marks: &Marks) -> Result<Option<Roles>, Refused> {
        let refused = |held: &Held, is_inactive| Refused { is_inactive, reason: Arc::clone(&held.entry.reason) };
        let of_user = self.users.get(user);
        if let Some(OfUser { tokens, active, .. }) = of_user {
            if let Some(held) = active
                && held.entry.about == (About::Active { is_active: false })
            {
                return Err(refused(held, true));
            }
            if let Some(held) = tokens
                && matches!(held.entry.about, About::Tokens { issued_until } if marks.issued_at <= issued_until)
            {
                return Err(refused(held, false));
            }
        }
        let login = marks.login.and_then(|mark| self.logins.get(&mark));
        let token = marks.token.and_then(|mark| self.tokens.get(&mark));
        if let Some(held) = login.or(token) {
            return Err(refused(held, false));
        }
        Ok(match of_user.and_then(|of_user| of_user.roles.as_ref()).map(|held| &held.entry.about) {
            Some(About::Roles { issued_until, roles }) if marks.issued_at <= *issued_until => Some(Arc::clone(roles)),
            _ => None,
        })
    }

    pub(super) fn receive(&mut self, last: Position, entries: Vec<Entry>) -> Received {
        let first = (last.number + 1).saturating_sub(entries.len() as u64);
        let mut is_known = true;
        for (number, entry) in (first..).zip(entries) {
            is_known &= !self.put(Position { number, ..last }, entry);
        }
        match self.position {
            Some(at) if at.epoch == last.epoch && (first..=last.number).contains(&(at.number + 1)) => {
                self.position = Some(last);
                Received::InOrder
            }
            // They were read before they arrived.
            Some(at) if at.epoch == last.epoch && last.number <= at.number && is_known => Received::InOrder,
            // The back end's list has fallen back: it repeats numbers.
            Some(at) if at.epoch != last.epoch || last.number <= at.number => {
                self.position = None;
                Received::Behind
            }
            _ => Received::Behind,
        }
    }

    pub(super) fn read(&mut self, Page { entries, position, .. }: Page) {
        for (number, entry) in entries {
            self.put(Position { number, ..position }, entry);
        }
        self.position = Some(position);
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    /// Entries of former epochs, which the back end has no later entry for, once the list was read.
    pub(super) fn lost(&self, now: u64) -> Vec<Entry> {
        let Some(Position { epoch, .. }) = self.position else { return Vec::new() };
        let lost = self.held().filter(|held| held.at.epoch < epoch && held.entry.until > now);
        lost.map(|held| held.entry.clone()).collect()
    }

    pub(super) fn forget(&mut self, now: u64) {
        let is_over = |held: &Held| held.entry.until <= now;
        self.logins.retain(|_, held| !is_over(held));
        self.tokens.retain(|_, held| !is_over(held));
        self.users.retain(|_, OfUser { tokens, active, roles }| {
            for held in [&mut *tokens, &mut *active, &mut *roles] {
                held.take_if(|held| is_over(held));
            }
            tokens.is_some() || active.is_some() || roles.is_some()
        });
    }

    pub(super) fn len(&self) -> usize {
        self.held().count()
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        let of_users = self.users.values().flat_map(|OfUser { tokens, active, roles }| [tokens, active, roles]);
        self.logins.values().chain(self.tokens.values()).chain(of_users.flatten())
    }

    /// False if a later entry of the same subject, or this one, is here already.
    fn put(&mut self, at: Position, entry: Entry) -> bool {
        let user = &entry.user;
        match &entry.about {
            About::Login { id } => put_in(&mut self.logins, Mark::of(user, id), Held { at, entry }),
            About::Token { id } => put_in(&mut self.tokens, Mark::of(user, id), Held { at, entry }),
            about => {
                let of_user = self.users.entry(Arc::clone(user)).or_default();
                let place = match about {
                    About::Active { .. } => &mut of_user.active,
                    About::Roles { .. } => &mut of_user.roles,
                    _ => &mut of_user.tokens,
                };
                let is_later = place.as_ref().is_none_or(|before| before.at < at);
                if is_later {
                    *place = Some(Held { at, entry });
                }
                is_later
            }
        }
    }
}

fn put_in<K: Eq + Hash>(map: &mut HashMap<K, Held>, key: K, held: Held) -> bool {
    match map.entry(key) {
        hash_map::Entry::Occupied(before) if before.get().at >= held.at => false,
        hash_map::Entry::Occupied(mut before) => {
            before.insert(held);
            true
        }
        hash_map::Entry::Vacant(place) => {
            place.insert(held);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNTIL: u64 = 1_000;

    fn entry(about: About) -> Entry {
        Entry { user: "ann".into(), about, reason: "r".into(), until: UNTIL }
    }

    fn page(position: Position, entries: &[(u64, Entry)]) -> Page {
        Page { entries: entries.to_vec(), position, is_last: true }
    }

    fn at(number: u64) -> Position {
        Position { epoch: 7, number }
    }

    fn marks(issued_at: u64, login: &str, token: &str) -> Marks {
        Marks { issued_at, login: Some(Mark::of("ann", login)), token: Some(Mark::of("ann", token)) }
    }

    fn list(entries: Vec<Entry>) -> List {
        let mut list = List::default();
        list.read(page(at(0), &[]));
        assert_eq!(list.receive(at(entries.len() as u64), entries), Received::InOrder);
        list
    }

    #[test]
    fn tokens_are_refused_by_user_login_and_token() {
        let refused = |about: About, marks: Marks| list(vec![entry(about)]).judge("ann", &marks).is_err();
        assert!(refused(About::Login { id: "l".into() }, marks(5, "l", "t")));
        assert!(!refused(About::Login { id: "l".into() }, marks(5, "t", "l")));
        assert!(refused(About::Token { id: "t".into() }, marks(5, "l", "t")));
        assert!(!refused(About::Token { id: "t".into() }, marks(5, "l", "other")));
        assert!(refused(About::Tokens { issued_until: 5 }, marks(5, "l", "t")));
        assert!(!refused(About::Tokens { issued_until: 5 }, marks(6, "l", "t")));
        assert!(
            refused(About::Tokens { issued_until: 5 }, Marks::default()),
            "a token without `iat` is as old as can be"
        );
        assert!(refused(About::Active { is_active: false }, marks(9, "l", "t")));
        assert!(!refused(About::Active { is_active: true }, marks(9, "l", "t")));
        let list = list(vec![entry(About::Tokens { issued_until: 5 })]);
        assert_eq!(list.judge("bob", &marks(5, "l", "t")), Ok(None));
    }

    #[test]
    fn roles_replace_those_of_older_tokens() {
        let roles: Roles = ["A".into()].into();
        let list = list(vec![entry(About::Roles { issued_until: 5, roles: Arc::clone(&roles) })]);
        assert_eq!(list.judge("ann", &marks(5, "l", "t")), Ok(Some(roles)));
        assert_eq!(list.judge("ann", &marks(6, "l", "t")), Ok(None));
    }

    #[test]
    fn a_gap_counts_as_behind_but_its_entries_count_at_once() {
        let mut list = list(vec![entry(About::Login { id: "1".into() })]);
        assert_eq!(list.receive(at(3), vec![entry(About::Login { id: "3".into() })]), Received::Behind);
        assert!(list.judge("ann", &marks(0, "3", "t")).is_err());
        assert_eq!(list.position(), Some(at(1)));
        list.read(page(at(3), &[(2, entry(About::Login { id: "2".into() }))]));
        assert_eq!(list.receive(at(2), vec![entry(About::Login { id: "2".into() })]), Received::InOrder, "late");
        assert_eq!((list.position(), list.len()), (Some(at(3)), 3));
    }

    #[test]
    fn entries_that_the_back_end_lost_count_on_and_are_returned() {
        let mut list = list(vec![entry(About::Login { id: "1".into() }), entry(About::Active { is_active: false })]);
        let epoch = Position { epoch: 8, number: 1 };
        assert_eq!(list.receive(epoch, vec![entry(About::Active { is_active: true })]), Received::Behind);
        assert_eq!((list.position(), list.lost(0)), (None, vec![]));
        list.read(page(epoch, &[(1, entry(About::Active { is_active: true }))]));
        assert_eq!(list.lost(0), [entry(About::Login { id: "1".into() })]);
        assert_eq!(list.lost(UNTIL), []);
        assert!(list.judge("ann", &marks(0, "1", "t")).is_err() && list.judge("ann", &marks(0, "2", "t")).is_ok());
    }

    #[test]
    fn a_list_that_fell_back_within_its_epoch_is_read_again() {
        let mut list = list(vec![entry(About::Login { id: "1".into() }), entry(About::Login { id: "2".into() })]);
        assert_eq!(list.receive(at(2), vec![entry(About::Login { id: "other".into() })]), Received::Behind);
        assert_eq!(list.position(), None);
    }

    #[test]
    fn entries_that_are_over_are_dropped() {
        let mut list = list(vec![
            entry(About::Login { id: "1".into() }),
            entry(About::Token { id: "1".into() }),
            entry(About::Active { is_active: false }),
            Entry { until: UNTIL + 1, ..entry(About::Tokens { issued_until: 9 }) },
        ]);
        list.forget(UNTIL - 1);
        assert_eq!(list.len(), 4);
        list.forget(UNTIL);
        assert_eq!((list.len(), list.users.len()), (1, 1));
        list.forget(UNTIL + 1);
        assert_eq!((list.len(), list.users.len()), (0, 0));
    }

    proptest! {
        /// Messages may be lost, doubled or late: once the list was read, the last entry of each subject counts.
        #[test]
        fn after_a_read_the_copy_is_the_list(
            changes in prop::collection::vec((0_u8..3, any::<bool>()), 1..40),
            arrivals in prop::collection::vec(0_usize..40, 0..80),
            reads in prop::collection::vec(0_usize..80, 0..3),
        ) {
            let entries: Vec<Entry> = changes
                .iter()
                .map(|(user, is_active)| Entry { user: user.to_string().into(), ..entry(About::Active { is_active: *is_active }) })
                .collect();
            // The list as it was after so many changes.
            let read_at = |list: &mut List, length: usize| {
                let after = list.position().map_or(0, |at| at.number);
                let mut latest: HashMap<&str, u64> = HashMap::new();
                for (number, entry) in (1..=length as u64).zip(&entries) {
                    latest.insert(&entry.user, number);
                }
                let mut found: Vec<_> = latest.into_values().filter(|number| *number > after).collect();
                found.sort_unstable();
                let found: Vec<_> = found.into_iter().map(|number| (number, entries[number as usize - 1].clone())).collect();
                list.read(page(at(length as u64), &found));
            };
            let mut list = List::default();
            for (step, index) in arrivals.iter().enumerate() {
                let index = index % entries.len();
                if reads.contains(&step) && list.position().is_none_or(|at| at.number <= index as u64 + 1) {
                    read_at(&mut list, index + 1);
                }
                list.receive(at(index as u64 + 1), vec![entries[index].clone()]);
            }
            if list.position().is_none_or(|at| at.number < entries.len() as u64) {
                read_at(&mut list, entries.len());
            }
            for user in ["0", "1", "2"] {
                let last = entries.iter().rev().find(|entry| *entry.user == *user);
                let is_active = last.is_none_or(|entry| entry.about == About::Active { is_active: true });
                prop_assert_eq!(list.judge(user, &Marks::default()).is_ok(), is_active, "{}", user);
            }
        }
    }
}
