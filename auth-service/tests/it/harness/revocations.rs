//! A list of revocations within this process, as gateways would follow it.

use std::time::Duration;

use jackfield_cluster::{
    MemoryCluster, Terms,
    facts::FactTerms,
    inbox::Keep,
    revocations::{About, Entry, Revocations},
};

/// An empty list.
pub fn list() -> Revocations {
    let second = Duration::from_secs(1);
    let terms = Terms {
        lease: second,
        grace: second,
        announce_max: 1,
        notifications: Keep { max: 1, age: second },
        user_events: second,
        facts: FactTerms::OFF,
        recovery: second,
    };
    MemoryCluster::new(terms).join().0.revocations
}

/// All entries, in the order of recording.
pub async fn entries(list: &Revocations) -> Vec<Entry> {
    let (mut all, mut position) = (Vec::new(), None);
    loop {
        let page = list.read(position).await.unwrap();
        all.extend(page.entries.into_iter().map(|(_, entry)| entry));
        if page.is_last {
            return all;
        }
        position = Some(page.position);
    }
}

/// An entry for one login.
pub fn of_login(user: &str, sid: &str, reason: &str, until: u64) -> Entry {
    Entry { user: user.into(), about: About::Login { id: sid.into() }, reason: reason.into(), until }
}
