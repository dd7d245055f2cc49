//! The checker against written traces, and against scripted runs that are damaged in known ways.

use proptest::prelude::*;

use super::*;
use crate::{
    record::{Acked, Join, Key, Observation, content},
    self_test::{Size, exact, script},
};

/// One room, one sender, `count` messages, all acknowledged; one member.
fn room(count: u32) -> (Room, Vec<Vec<Sent>>) {
    let mut room = Room::new("r".into(), [5]);
    let mut sent = Vec::new();
    for sequence in 0..count {
        let key = Key { sender: 0, sequence };
        let message = room.intern(&format!("e-{sequence:05}"), &content(key, 0, 0));
        room.acked.push(Acked { key, message });
        sent.push(Sent { room: 0, at_us: 0, connection: 0, tries: 1 });
    }
    (room, vec![sent])
}

fn judge(room: Room, sent: &[Vec<Sent>]) -> Verdict {
    check(&[room], sent, &Rules { kept: 100, page: 50, kept_data: true, may_vanish: false })
}

fn record(room: &mut Room, observations: impl IntoIterator<Item = Observation>) {
    for observation in observations {
        let at = u32::try_from(room.traces[0].entries.len()).unwrap();
        room.observe(0, at, observation);
    }
}

fn is_clean(verdict: &Verdict) -> bool {
    verdict.all() == 0
}

fn judged(count: u32, observations: impl IntoIterator<Item = Observation>) -> Verdict {
    let (mut room, sent) = room(count);
    record(&mut room, observations);
    judge(room, &sent)
}

const FRESH: Observation = Observation::Joined(Join::Fresh);
const BACK: Observation = Observation::Joined(Join::Recovered);
const RESET: Observation = Observation::Joined(Join::NotRecovered);

fn live(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Observation> {
    numbers.map(Observation::Live)
}

fn page(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Observation> {
    numbers.map(Observation::Page)
}

#[test]
fn pages_and_live_messages_together_are_the_room() {
    let all = [FRESH]
        .into_iter()
        .chain(page(0..3))
        .chain(live(3..6))
        .chain([Observation::Disconnected, BACK])
        .chain(page(6..9));
    let verdict = judged(10, all.chain(live(9..10)));
    assert!(is_clean(&verdict), "{verdict:?}");
    assert_eq!(verdict.deliveries, 10);
}

#[test]
fn a_lineage_starts_at_its_full_page_or_at_the_start_of_the_room() {
    let full = [FRESH].into_iter().chain(page(30..80)).chain(live(80..90));
    assert!(is_clean(&judged(90, full)));
    let short = [FRESH].into_iter().chain(page(31..80)).chain(live(80..90));
    assert_eq!(judged(90, short).lost(), 31);
}

#[test]
fn missing_messages_are_lost_wherever_they_are() {
    let middle = judged(10, [FRESH].into_iter().chain(live(0..4)).chain(live(5..10)));
    assert_eq!((middle.lost(), middle.all()), (1, 1));
    assert_eq!(middle.violations[0].member, Some(5));
    assert!(middle.violations[0].message.starts_with("e-00004"), "{:?}", middle.violations[0]);
    assert!(middle.violations[0].around.iter().any(|line| line.starts_with('>') && line.contains("e-00005")));
    let at_the_end = judged(10, [FRESH].into_iter().chain(live(0..8)));
    assert_eq!((at_the_end.lost(), at_the_end.all()), (2, 2));
    let over_a_reconnect =
        judged(10, [FRESH].into_iter().chain(live(0..4)).chain([Observation::Disconnected, BACK]).chain(live(6..10)));
    assert_eq!((over_a_reconnect.lost(), over_a_reconnect.all()), (2, 2));
    let never_joined = judged(10, []);
    assert_eq!(never_joined.lost(), 10);
    let never_back = judged(10, [FRESH].into_iter().chain(live(0..4)).chain([Observation::Disconnected]));
    assert_eq!(never_back.lost(), 6);
}

#[test]
fn unacknowledged_messages_may_be_missing_but_not_doubled() {
    let (mut room, sent) = room(10);
    room.acked.remove(4);
    record(&mut room, [FRESH].into_iter().chain(live(0..4)).chain(live(5..10)));
    assert!(is_clean(&judge(room.clone(), &sent)));
    record(&mut room, [Observation::Live(4), Observation::Live(4)]);
    let verdict = judge(room, &sent);
    assert_eq!((verdict.reordered(), verdict.doubled()), (1, 1));
}

#[test]
fn a_page_that_repeats_a_message_is_doubled() {
    let all = [FRESH].into_iter().chain(live(0..6)).chain([Observation::Disconnected, BACK]).chain(page(5..10));
    let verdict = judged(10, all);
    assert_eq!((verdict.doubled(), verdict.all()), (1, 1));
}

#[test]
fn a_reset_is_a_violation_unless_more_was_missed_than_is_kept() {
    let ended = |back: u32| {
        let start = [FRESH].into_iter().chain(live(0..10)).chain([Observation::Disconnected, RESET]);
        judged(300, start.chain(page(back - 50..back)).chain(live(back..300)))
    };
    let early = ended(110);
    assert_eq!((early.count(Kind::Reset), early.justified_resets, early.all()), (1, 0, 1));
    let late = ended(111);
    assert_eq!((late.count(Kind::Reset), late.justified_resets, late.all()), (0, 1, 0));
}

#[test]
fn a_gap_before_a_reset_is_lost_all_the_same() {
    let all = [FRESH].into_iter().chain(live(0..3)).chain(live(4..10)).chain([Observation::Disconnected, RESET]);
    let verdict = judged(300, all.chain(page(200..250)).chain(live(250..300)));
    assert_eq!((verdict.lost(), verdict.justified_resets, verdict.all()), (1, 1, 1));
}

#[test]
fn a_room_reset_starts_a_new_lineage_after_its_position() {
    let (mut room, sent) = room(20);
    let position = room.position("e-00011");
    record(&mut room, [FRESH].into_iter().chain(live(0..10)).chain([Observation::Reset(position)]).chain(live(12..20)));
    let verdict = judge(room.clone(), &sent);
    assert_eq!((verdict.count(Kind::Reset), verdict.all()), (1, 1));
    let few_kept = Rules { kept: 9, ..Rules::default() };
    let justified_resets = check(std::slice::from_ref(&room), &sent, &few_kept);
    assert_eq!((justified_resets.justified_resets, justified_resets.all()), (1, 0), "ten were missed");
    let lost_data = Rules { kept_data: false, ..Rules::default() };
    assert!(is_clean(&check(&[room], &sent, &lost_data)));
}

#[test]
fn a_live_message_before_the_ack_of_the_join_is_out_of_place() {
    let all = [FRESH]
        .into_iter()
        .chain(live(0..3))
        .chain([Observation::Disconnected, Observation::Early(4), BACK])
        .chain(page(3..4));
    let verdict = judged(5, all);
    assert_eq!((verdict.count(Kind::Early), verdict.count(Kind::Reordered), verdict.lost()), (1, 1, 0));
}

#[test]
fn a_rejected_member_is_reported_and_misses_nothing_after() {
    let verdict = judged(10, [FRESH].into_iter().chain(live(0..4)).chain([Observation::Rejected]));
    assert_eq!((verdict.count(Kind::Rejected), verdict.all()), (1, 1));
}

#[test]
fn a_senders_order_holds_within_a_connection() {
    let with = |tries: u32, connection: u32| {
        let (mut room, mut sent) = room(4);
        // Stored in the opposite order: the message sent later has the lower id.
        room.acked[1].message = 2;
        room.acked[2].message = 1;
        room.messages.swap(1, 2);
        let ids = [room.messages[1].id.clone(), room.messages[2].id.clone()];
        (room.messages[1].id, room.messages[2].id) = (ids[1].clone(), ids[0].clone());
        sent[0][1].tries = tries;
        sent[0][1].connection = connection;
        record(&mut room, [FRESH].into_iter().chain(live(0..4)));
        judge(room, &sent)
    };
    let verdict = with(1, 0);
    assert_eq!((verdict.count(Kind::SenderOrder), verdict.all()), (1, 1), "{verdict:?}");
    assert!(is_clean(&with(2, 0)) && is_clean(&with(1, 9)));
}

#[test]
fn messages_that_were_not_sent_to_this_room_are_found() {
    let (mut room, mut sent) = room(5);
    let foreign = room.intern("e-00005", "hello");
    let unsent = room.intern("e-00006", &content(Key { sender: 9, sequence: 0 }, 0, 0));
    let elsewhere = room.intern("e-00007", &content(Key { sender: 0, sequence: 5 }, 0, 0));
    sent[0].push(Sent { room: 1, at_us: 0, connection: 0, tries: 1 });
    record(&mut room, [FRESH].into_iter().chain(live(0..5)).chain([foreign, unsent, elsewhere].map(Observation::Live)));
    let verdict = judge(room, &sent);
    assert_eq!((verdict.count(Kind::NeverSent), verdict.all()), (3, 3));
}

#[test]
fn one_id_with_two_contents_and_one_content_with_two_ids_are_found() {
    let (mut room, sent) = room(5);
    room.intern("e-00003", &content(Key { sender: 0, sequence: 2 }, 0, 0));
    record(&mut room, [FRESH].into_iter().chain(live(0..5)));
    assert_eq!(judge(room, &sent).count(Kind::StoredTwice), 2);
}

/// Ten messages of epoch e, of which Redis lost the last three after it had acknowledged them, and five of epoch f.
fn failed_over() -> (Room, Vec<Vec<Sent>>) {
    let (mut room, mut sent) = room(10);
    for sequence in 10..15 {
        let key = Key { sender: 0, sequence };
        let message = room.intern(&format!("f-{:05}", sequence - 3), &content(key, 0, 0));
        room.acked.push(Acked { key, message });
        sent[0].push(Sent { room: 0, at_us: 0, connection: 0, tries: 1 });
    }
    (room, sent)
}

const MAY_VANISH: Rules = Rules { kept: 100, page: 50, kept_data: false, may_vanish: true };

fn judged_after_failover(rules: &Rules, observations: impl IntoIterator<Item = Observation>) -> Verdict {
    let (mut room, sent) = failed_over();
    let position = room.position("f-00006");
    assert_eq!(position, 0);
    record(&mut room, observations);
    check(&[room], &sent, rules)
}

#[test]
fn what_a_failover_lost_is_counted_and_is_a_violation_where_nothing_may_be_lost() {
    let told = || [FRESH].into_iter().chain(live(0..9)).chain([Observation::Reset(0)]).chain(live(10..15));
    let verdict = judged_after_failover(&MAY_VANISH, told());
    assert_eq!((verdict.vanished, verdict.excused_resets, verdict.all()), (3, 1, 0), "{verdict:?}");
    let verdict = judged_after_failover(&Rules { may_vanish: false, ..MAY_VANISH }, told());
    assert_eq!((verdict.count(Kind::Vanished), verdict.all()), (3, 3), "{verdict:?}");
}

#[test]
fn a_member_that_was_not_told_of_a_failover_has_lost_messages() {
    let silent = [FRESH].into_iter().chain(live(0..7)).chain(live(10..15));
    assert_eq!(judged_after_failover(&MAY_VANISH, silent).lost(), 3);
    let wrongly = [FRESH].into_iter().chain(live(0..7)).chain([Observation::Disconnected, BACK]).chain(page(10..15));
    assert_eq!(judged_after_failover(&MAY_VANISH, wrongly).lost(), 3);
}

#[test]
fn a_member_may_be_told_of_a_failover_within_seconds() {
    let observed = |pause: u32| {
        let (mut room, sent) = failed_over();
        let position = room.position("f-00008");
        record(&mut room, [FRESH].into_iter().chain(live(0..7)).chain(live(10..12)));
        let at = u32::try_from(room.traces[0].entries.len()).unwrap() + pause;
        let rest = [Observation::Reset(position)].into_iter().chain(live(12..15));
        rest.for_each(|observation| room.observe(0, at, observation));
        check(&[room], &sent, &MAY_VANISH)
    };
    let soon = observed(1_000);
    assert_eq!((soon.told_after, soon.all()), (3, 0), "{soon:?}");
    assert_eq!(observed(6_000).lost(), 3);
}

#[test]
fn pages_after_a_failover_need_not_have_what_was_gone() {
    let start = || [FRESH].into_iter().chain(live(0..7)).chain([Observation::Disconnected, RESET]);
    let verdict = judged_after_failover(&MAY_VANISH, start().chain(page(2..7)).chain(page(10..12)).chain(live(12..15)));
    assert_eq!(verdict.all(), 0, "{verdict:?}");
    // It was not gone when the page was made: nothing of the later epoch is in it.
    let verdict = judged_after_failover(&MAY_VANISH, start().chain(page(2..7)).chain(live(10..15)));
    assert_eq!(verdict.lost(), 3, "{verdict:?}");
    let verdict = judged_after_failover(&MAY_VANISH, start().chain(page(2..6)).chain(page(10..12)).chain(live(12..15)));
    assert_eq!(verdict.lost(), 1, "message 6 was never gone: {verdict:?}");
}

#[test]
fn a_message_that_was_gone_before_its_ack_may_be_stored_again() {
    let (mut room, sent) = failed_over();
    // Its first copy, of which there was no ack.
    room.intern("e-00010", &content(Key { sender: 0, sequence: 11 }, 0, 0));
    let position = room.position("f-00006");
    record(
        &mut room,
        [FRESH].into_iter().chain(live(0..10)).chain([Observation::Live(15), Observation::Reset(position)]),
    );
    record(&mut room, live(10..15));
    let verdict = check(&[room.clone()], &sent, &MAY_VANISH);
    assert_eq!(verdict.all(), 0, "{verdict:?}");
    // Without a reset between them, the member got it twice.
    room.traces[0].entries.retain(|entry| !matches!(entry.observation, Observation::Reset(_)));
    assert_eq!(check(&[room], &sent, &MAY_VANISH).doubled(), 1);
}

fn damages() -> impl Strategy<Value = (Option<Kind>, u32)> {
    (5u32..300, 0..7).prop_map(|(one_in, kind)| match kind {
        0 => (None, 1),
        1 => (Some(Kind::Lost), one_in),
        2 => (Some(Kind::Doubled), one_in),
        3 => (Some(Kind::Reordered), one_in),
        4 => (Some(Kind::StoredTwice), one_in),
        5 => (Some(Kind::NeverSent), one_in),
        _ => (Some(Kind::Reset), one_in / 20 + 1),
    })
}

proptest! {
    #[test]
    fn every_damage_is_found_exactly(
        seed: u64,
        (damage, one_in) in damages(),
        (rooms, members, messages) in (1u32..4, 1u32..5, 1u32..1_500),
    ) {
        let script = script(Size { rooms, members, messages }, damage, one_in, seed);
        let verdict = check(&script.rooms, &script.sent, &Rules::default());
        prop_assert!(exact(&verdict, damage, script.damaged), "{damage:?} done {}: {verdict:#?}", script.damaged);
    }
}
