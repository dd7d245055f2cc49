//! Judges one member by its trace of a room.

use super::{Kind, Rules, Verdict, Violation, room};
use crate::record::{Entry, Join, Observation, Origin, Room, Trace};

/// The room to judge in, and the rules.
pub struct Place<'a> {
    /// Number of the room.
    pub number: usize,
    pub room: &'a Room,
    /// Order of its messages.
    pub order: &'a room::Order,
    pub rules: &'a Rules,
}

/// A member that goes on over a loss must be reset within this time, in milliseconds: its node learns of the loss from
/// another one, which has delivered the lost messages.
const TOLD_WITHIN: u32 = 5_000;
/// Entries shown on each side of a violation.
const AROUND: usize = 4;

struct Walk<'a> {
    at: &'a Place<'a>,
    trace: &'a Trace,
    verdict: &'a mut Verdict,
    /// First place that the lineage must contain; none until its first message is known.
    from: Option<u32>,
    /// Highest place seen in it.
    last: Option<u32>,
    /// Places seen in it.
    seen: Vec<bool>,
    /// Index of the entry that began the lineage: the search for a gap starts there.
    begun_at: usize,
    /// Highest place in the pages with which it began.
    newest_page: Option<u32>,
}

/// Judges one member.
pub fn walk(at: &Place<'_>, trace: &Trace, verdict: &mut Verdict) {
    let seen = vec![false; at.order.message.len()];
    let mut walk = Walk { at, trace, verdict, from: Some(0), last: None, seen, begun_at: 0, newest_page: None };
    let mut rejected = false;
    for (index, entry) in trace.entries.iter().enumerate() {
        match entry.observation {
            Observation::Joined(Join::Fresh) => walk.fresh(index),
            Observation::Joined(Join::Recovered) | Observation::Disconnected => {}
            Observation::Joined(Join::NotRecovered) => walk.not_recovered(index),
            Observation::Reset(position) => walk.reset(index, position),
            Observation::Page(message) | Observation::Live(message) => walk.delivered(index, message),
            Observation::Early(message) => {
                let rank = at.order.rank[message as usize];
                walk.violation(Kind::Early, rank, index);
                walk.delivered(index, message);
            }
            Observation::Rejected => {
                rejected = true;
                let last = walk.last.unwrap_or(0);
                walk.violation(Kind::Rejected, last, index);
            }
        }
    }
    let end = trace.entries.len();
    let last = if rejected { walk.last } else { at.order.last_acked };
    walk.missing(last, end, false);
}

impl<'a> Walk<'a> {
    fn fresh(&mut self, index: usize) {
        let pages = self.pages_after(index);
        // A page that is not full held everything that the room had.
        self.from = if pages.len() < self.at.rules.page { Some(0) } else { self.rank_of_first(pages) };
        let newest = pages.last().and_then(|entry| self.rank_of(entry));
        self.begin(index, newest);
    }

    fn not_recovered(&mut self, index: usize) {
        let pages = self.pages_after(index);
        let newest = pages.last().and_then(|entry| self.rank_of(entry));
        let from = self.rank_of_first(pages);
        let missed = newest.map_or(0, |newest| (newest + 1).saturating_sub(self.next()));
        self.judge_reset(index, newest.unwrap_or(0), missed as usize);
        self.restart(index, from, newest);
    }

    fn reset(&mut self, index: usize, position: u32) {
        let place = self.at.order.after(self.at.room, &self.at.room.positions[position as usize]);
        // Send times tell how many messages the member missed; the last few of them may not have been stored yet.
        let now_us = u64::from(self.trace.entries[index].at_ms) * 1_000;
        let rest = self.at.order.message.get(self.next() as usize..).unwrap_or_default();
        let sent = |number: &&u32| match self.at.room.messages[**number as usize].origin {
            Origin::Ours { at_us, .. } => at_us <= now_us,
            Origin::Foreign(_) => false,
        };
        let missed = rest.iter().filter(sent).count();
        self.judge_reset(index, place.saturating_sub(1), missed);
        self.restart(index, Some(place), None);
    }

    /// The place that the member needs next.
    fn next(&self) -> u32 {
        self.last.map_or(self.from.unwrap_or(0), |last| last + 1)
    }

    /// A reset is justified if more was missed than the room keeps; otherwise it is a violation, unless Redis lost data.
    fn judge_reset(&mut self, index: usize, rank: u32, missed: usize) {
        if missed > self.at.rules.kept {
            self.verdict.justified_resets += 1;
        } else if self.at.rules.kept_data {
            self.violation(Kind::Reset, rank, index);
        } else {
            self.verdict.excused_resets += 1;
        }
    }

    /// The server ended the lineage, and another begins.
    fn restart(&mut self, index: usize, from: Option<u32>, newest_page: Option<u32>) {
        self.missing(self.last, index, true);
        self.from = from;
        self.begin(index, newest_page);
    }

    fn begin(&mut self, index: usize, newest_page: Option<u32>) {
        self.last = None;
        self.newest_page = newest_page;
        self.seen.fill(false);
        self.begun_at = index;
    }

    fn delivered(&mut self, index: usize, message: u32) {
        self.verdict.deliveries += 1;
        let rank = self.at.order.rank[message as usize];
        let twin_seen = self.at.order.twin.get(&rank).is_some_and(|first| self.seen[*first as usize]);
        if self.seen[rank as usize] || twin_seen {
            self.violation(Kind::Doubled, rank, index);
        } else if self.last.is_some_and(|last| rank < last) || self.from.is_some_and(|from| rank < from) {
            self.violation(Kind::Reordered, rank, index);
        }
        self.seen[rank as usize] = true;
        self.last = self.last.max(Some(rank));
        self.from = self.from.or(Some(rank));
    }

    /// Reports acknowledged messages that the lineage lacks, up to and including `last`. `is_reset`: the server has told the
    /// member then that messages may be missing.
    fn missing(&mut self, last: Option<u32>, end: usize, is_reset: bool) {
        let (Some(from), Some(last)) = (self.from, last) else { return };
        for rank in from..=last {
            if self.at.order.acked[rank as usize] && !self.seen[rank as usize] && !self.was_gone(rank) {
                let index = self.first_after(rank, end);
                if is_reset && self.at.order.vanished[rank as usize] && self.was_soon(index, end) {
                    self.verdict.told_after += 1;
                } else {
                    self.violation(Kind::Lost, rank, index);
                }
            }
        }
    }

    /// Whether Redis had lost the message in that place before the lineage began: its pages have a later epoch.
    fn was_gone(&self, rank: u32) -> bool {
        let Place { order, room, .. } = self.at;
        let later = |newest| order.is_of_earlier_epoch(room, rank, newest);
        order.vanished[rank as usize] && self.newest_page.is_some_and(later)
    }

    /// Whether the second entry came soon after the first.
    fn was_soon(&self, first: usize, second: usize) -> bool {
        let at = |index: usize| self.trace.entries.get(index).map_or(0, |entry| entry.at_ms);
        at(second).saturating_sub(at(first)) <= TOLD_WITHIN
    }

    /// The entry that shows the gap: the lineage's first one with a later message, or else `end`.
    fn first_after(&self, rank: u32, end: usize) -> usize {
        let later = |entry: &Entry| self.rank_of(entry).is_some_and(|found| found > rank);
        let found = self.trace.entries[self.begun_at..end].iter().position(later);
        found.map_or(end, |offset| self.begun_at + offset)
    }

    fn pages_after(&self, index: usize) -> &'a [Entry] {
        let trace: &'a Trace = self.trace;
        let rest = &trace.entries[index + 1..];
        let count = rest.iter().take_while(|entry| matches!(entry.observation, Observation::Page(_))).count();
        &rest[..count]
    }

    fn rank_of_first(&self, pages: &[Entry]) -> Option<u32> {
        pages.first().and_then(|entry| self.rank_of(entry))
    }

    fn rank_of(&self, entry: &Entry) -> Option<u32> {
        entry.observation.message().map(|message| self.at.order.rank[message as usize])
    }

    fn violation(&mut self, kind: Kind, rank: u32, index: usize) {
        let (at, trace) = (self.at, self.trace);
        self.verdict.violation(kind, || {
            let entry = trace.entries.get(index).or(trace.entries.last());
            let number = at.order.message.get(rank as usize);
            Violation {
                kind,
                room: at.number,
                member: Some(trace.member),
                message: number.map_or(String::new(), |number| room::describe(&at.room.messages[*number as usize])),
                at_ms: entry.map_or(0, |entry| entry.at_ms),
                around: around(at.room, trace, index),
            }
        });
    }
}

/// The trace entries shortly before and after a violation, as text.
fn around(room: &Room, trace: &Trace, index: usize) -> Vec<String> {
    let (first, end) = (index.saturating_sub(AROUND), (index + AROUND + 1).min(trace.entries.len()));
    let shown = trace.entries[first.min(end)..end].iter().zip(first..);
    shown.map(|(entry, at)| format!("{}{}", if at == index { "> " } else { "  " }, show(room, entry))).collect()
}

fn show(room: &Room, entry: &Entry) -> String {
    let message = |number: u32| room::describe(&room.messages[number as usize]);
    let text = match entry.observation {
        Observation::Joined(Join::Fresh) => "joined".into(),
        Observation::Joined(Join::Recovered) => "joined with since, recovered".into(),
        Observation::Joined(Join::NotRecovered) => "joined with since, NOT recovered".into(),
        Observation::Page(number) => format!("page {}", message(number)),
        Observation::Live(number) => format!("live {}", message(number)),
        Observation::Early(number) => format!("early {}", message(number)),
        Observation::Reset(position) => format!("room-reset to {}", room.positions[position as usize]),
        Observation::Disconnected => "connection lost".into(),
        Observation::Rejected => "rejected".into(),
    };
    format!("{:7.3} s {text}", f64::from(entry.at_ms) / 1_000.0)
}
