//! The contract of `cluster::revocations`.

use std::sync::LazyLock;

use jackfield_cluster::{
    bus::Channel,
    log::Position,
    partition::Partition,
    revocations::{About, BATCH, Entry, Page, Revocations},
    wire::BusMessage,
};

use crate::fixture::{Backend, Fixture, contract, now_millis};

contract!(
    an_entry_is_read_and_sent_to_all_nodes,
    a_later_entry_of_the_same_subject_replaces_the_earlier,
    every_subject_has_an_entry_of_its_own,
    a_node_reads_only_what_it_has_not_read,
    a_long_list_is_read_page_by_page,
    entries_that_are_over_make_room,
    restored_entries_replace_nothing,
    a_position_of_another_epoch_reads_everything,
    concurrent_entries_are_numbered_without_holes,
);

/// Two calls with the same arguments are equal.
fn entry(user: &str, about: About) -> Entry {
    static UNTIL: LazyLock<u64> = LazyLock::new(|| now_millis() / 1_000 + 1_000);
    Entry { user: user.into(), about, reason: "a \"reason\"".into(), until: *UNTIL }
}

fn login(user: &str, id: &str) -> Entry {
    entry(user, About::Login { id: id.into() })
}

async fn all(revocations: &Revocations) -> Vec<Entry> {
    let (mut after, mut entries) = (None, Vec::new());
    loop {
        let page = revocations.read(after).await.unwrap();
        entries.extend(page.entries.into_iter().map(|(_, entry)| entry));
        if page.is_last {
            return entries;
        }
        after = Some(page.position);
    }
}

async fn an_entry_is_read_and_sent_to_all_nodes(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    for node in &fixture.nodes {
        node.subscribe(&[Channel::Revocations]).await;
    }
    let entries = [login("ann", "l 1"), entry("bob", About::Roles { issued_until: 7, roles: ["A".into()].into() })];
    fixture.nodes[0].cluster.revocations.record(&entries).await.unwrap();
    let Page { position, entries: read, is_last } = fixture.nodes[1].cluster.revocations.read(None).await.unwrap();
    assert_eq!((read.len(), position.number, is_last), (2, 2, true));
    assert_eq!(read, [(1, entries[0].clone()), (2, entries[1].clone())]);
    for node in &mut fixture.nodes {
        assert_eq!(node.next_message().await, BusMessage::Revoked { last: position, entries: entries.to_vec() });
    }
}

async fn a_later_entry_of_the_same_subject_replaces_the_earlier(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    let active = |is_active| entry("ann", About::Active { is_active });
    revocations.record(&[active(false), login("ann", "1")]).await.unwrap();
    revocations.record(&[active(true)]).await.unwrap();
    assert_eq!(all(revocations).await, [login("ann", "1"), active(true)]);
    assert_eq!(revocations.read(None).await.unwrap().position.number, 3);
}

async fn every_subject_has_an_entry_of_its_own(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    let entries = [
        login("a", "bc"),
        login("ab", "c"),
        entry("a", About::Token { id: "bc".into() }),
        entry("a", About::Tokens { issued_until: 1 }),
        entry("a", About::Roles { issued_until: 1, roles: [].into() }),
        entry("a", About::Active { is_active: true }),
        entry("b", About::Active { is_active: true }),
    ];
    revocations.record(&entries).await.unwrap();
    assert_eq!(all(revocations).await, entries);
}

async fn a_node_reads_only_what_it_has_not_read(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    let start = revocations.read(None).await.unwrap();
    assert_eq!((start.entries, start.position.number, start.is_last), (vec![], 0, true));
    revocations.record(&[login("a", "1")]).await.unwrap();
    let first = revocations.read(Some(start.position)).await.unwrap();
    revocations.record(&[login("a", "2")]).await.unwrap();
    let second = revocations.read(Some(first.position)).await.unwrap();
    assert_eq!((first.entries, second.entries), (vec![(1, login("a", "1"))], vec![(2, login("a", "2"))]));
    assert_eq!(revocations.read(Some(second.position)).await.unwrap().entries, []);
}

async fn a_long_list_is_read_page_by_page(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    let entries: Vec<_> = (0..2 * BATCH).map(|n| login("a", &n.to_string())).collect();
    revocations.record(&entries).await.unwrap();
    assert_eq!(revocations.read(None).await.unwrap().entries.len(), BATCH);
    assert_eq!(all(revocations).await, entries);
}

async fn entries_that_are_over_make_room(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    let over = Entry { until: now_millis() / 1_000 - 1, ..login("a", "1") };
    revocations.record(&[over]).await.unwrap();
    revocations.record(&[login("a", "2")]).await.unwrap();
    assert_eq!(all(revocations).await, [login("a", "2")]);
}

async fn restored_entries_replace_nothing(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    let active = |is_active| entry("ann", About::Active { is_active });
    revocations.record(&[active(true)]).await.unwrap();
    revocations.restore(&[active(false), login("ann", "1")]).await.unwrap();
    assert_eq!(all(revocations).await, [active(true), login("ann", "1")]);
    assert_eq!(revocations.read(None).await.unwrap().position.number, 2);
}

async fn a_position_of_another_epoch_reads_everything(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    revocations.record(&[login("a", "1")]).await.unwrap();
    let Position { epoch, number } = revocations.read(None).await.unwrap().position;
    let page = revocations.read(Some(Position { epoch: epoch - 1, number })).await.unwrap();
    assert_eq!(page.entries, [(1, login("a", "1"))]);
}

async fn concurrent_entries_are_numbered_without_holes(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 4);
    let recorded = (0..40).map(|n| {
        let revocations = fixture.nodes[n % 4].cluster.revocations.clone();
        tokio::task::spawn(async move { revocations.record(&[login("a", &n.to_string())]).await.unwrap() })
    });
    for recorded in recorded.collect::<Vec<_>>() {
        recorded.await.unwrap();
    }
    let page = fixture.nodes[0].cluster.revocations.read(None).await.unwrap();
    assert_eq!(page.entries.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert_eq!((page.position.number, page.is_last), (40, true));
}

/// Over Redis only, which alone can lose entries.
#[tokio::test]
async fn lost_entries_begin_a_new_epoch() {
    if crate::fixture::redis().is_none() {
        return;
    }
    let fixture = Fixture::with_nodes(Backend::Redis, 1);
    let revocations = &fixture.nodes[0].cluster.revocations;
    revocations.record(&[login("a", "1")]).await.unwrap();
    let known = revocations.read(None).await.unwrap().position;
    // A node that knows more than the list has: the list fell back.
    let page = revocations.read(Some(Position { number: known.number + 1, ..known })).await.unwrap();
    assert!(page.position.epoch > known.epoch);
    assert_eq!(page.entries, [(1, login("a", "1"))]);
    assert_eq!(revocations.read(Some(known)).await.unwrap(), page, "the other nodes read everything, too");
    // Another entry may have had the next number.
    fixture.begin_term(Partition::FIRST, "other").await;
    revocations.record(&[login("a", "2")]).await.unwrap();
    let later = revocations.read(Some(page.position)).await.unwrap();
    assert!(later.position.epoch > page.position.epoch && later.position.number == 2);
    assert_eq!(later.entries, [(1, login("a", "1")), (2, login("a", "2"))]);
}
