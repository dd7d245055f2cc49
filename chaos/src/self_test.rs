//! `cargo xtask chaos --self-test` tests the checker: a scripted run without servers is damaged in one way at a time,
//! and the checker must find exactly that damage, and nothing else.

use anyhow::{Result, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    checker::{self, Kind, Rules, Verdict},
    record::{Acked, Entry, Join, Key, Observation, Room, Sent, content},
};

/// Size of the scripted run.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rooms; each has two senders of its own.
    pub rooms: u32,
    /// Members per room.
    pub members: u32,
    /// Messages per room.
    pub messages: u32,
}

/// A scripted run.
pub struct Script {
    /// Rooms, with their members' traces.
    pub rooms: Vec<Room>,
    /// The senders' records.
    pub sent: Vec<Vec<Sent>>,
    /// Number of damages.
    pub damaged: u64,
}

/// Checks every kind of damage and prints a table.
pub fn run(seed: u64) -> Result<()> {
    let size = Size { rooms: 30, members: 10, messages: 2_000 };
    let damages = [
        ("nothing", None, 1),
        ("1 delivery in 500 dropped", Some(Kind::Lost), 500),
        ("1 delivery in 500 doubled", Some(Kind::Doubled), 500),
        ("1 delivery in 500 swapped", Some(Kind::Reordered), 500),
        ("1 clientId in 500 stored twice", Some(Kind::StoredTwice), 500),
        ("1 delivery in 500 forged", Some(Kind::NeverSent), 500),
        ("1 reconnect in 20 not recovered", Some(Kind::Reset), 20),
    ];
    println!("{:34} {:>10} {:>8} {:>8}", "damage", "deliveries", "done", "found");
    let mut missed = Vec::new();
    for (name, damage, one_in) in damages {
        let Script { rooms, sent, damaged } = script(size, damage, one_in, seed);
        let verdict = checker::check(&rooms, &sent, &Rules::default());
        let found = found(&verdict, damage);
        let right = exact(&verdict, damage, damaged);
        let result = if right { "caught" } else { "NOT CAUGHT" };
        println!("{name:34} {:>10} {damaged:>8} {found:>8}  {result}", verdict.deliveries);
        if !right {
            missed.push(name);
        }
    }
    ensure!(missed.is_empty(), "the checker misses: {}", missed.join(", "));
    Ok(())
}

/// Number of violations that the checker found for that damage.
fn found(verdict: &Verdict, damage: Option<Kind>) -> u64 {
    damage.map_or(0, |kind| verdict.count(kind))
}

/// Whether the checker found all of the damage, and nothing of another kind.
pub fn exact(verdict: &Verdict, damage: Option<Kind>, damaged: u64) -> bool {
    // A member that received both copies saw the content twice.
    let follows = (damage == Some(Kind::StoredTwice)).then_some(Kind::Doubled);
    let explained: u64 = damage.into_iter().chain(follows).map(|kind| verdict.count(kind)).sum();
    found(verdict, damage) == damaged && verdict.all() == explained
}

/// Writes a run, and damages it, one time in so many. A damage is named by the violation that it must be found as.
pub fn script(size: Size, damage: Option<Kind>, one_in: u32, seed: u64) -> Script {
    let sent = vec![Vec::new(); 2 * size.rooms as usize];
    let script = Script { rooms: Vec::new(), sent, damaged: 0 };
    let mut writer = Writer { script, damage, one_in, rng: StdRng::seed_from_u64(seed) };
    for number in 0..size.rooms {
        let members = (0..size.members).map(|member| number * size.members + member);
        let mut room = Room::new(format!("room-{number}"), members);
        let log = writer.write_log(&mut room, number, size.messages);
        for place in 0..room.traces.len() {
            writer.write_trace(&mut room, place, &log);
        }
        for place in 0..room.traces.len() {
            writer.forge(&mut room, place);
        }
        for trace in &mut room.traces {
            writer.damage_trace(&mut trace.entries);
        }
        writer.script.rooms.push(room);
    }
    writer.script
}

struct Writer {
    script: Script,
    damage: Option<Kind>,
    one_in: u32,
    rng: StdRng,
}

impl Writer {
    fn hit(&mut self, one_in: u32) -> bool {
        self.rng.random_ratio(1, one_in)
    }

    /// Whether to do this damage here; counts it.
    fn damages(&mut self, damage: Kind) -> bool {
        let hit = self.damage == Some(damage) && self.hit(self.one_in);
        self.script.damaged += u64::from(hit);
        hit
    }

    /// Writes the room's log: messages of two senders, mixed, all acknowledged, one per millisecond. A damaged one is
    /// stored twice, as if the server did not know `clientId`s.
    fn write_log(&mut self, room: &mut Room, number: u32, messages: u32) -> Vec<u32> {
        let mut log = Vec::new();
        // Second copies, with the same `clientId`, that are not stored yet.
        let mut again: Vec<String> = Vec::new();
        for at in 0..messages {
            let sender = 2 * number + self.rng.random_range(0..2);
            let sent = &mut self.script.sent[sender as usize];
            let key = Key { sender, sequence: u32::try_from(sent.len()).unwrap_or(u32::MAX) };
            let at_us = u64::from(at) * 1_000;
            let text = content(key, at_us, 64);
            sent.push(Sent { room: number, at_us, connection: 0, tries: 1 });
            let message = store(room, &mut log, &text);
            room.acked.push(Acked { key, message });
            if self.damages(Kind::StoredTwice) {
                again.push(text);
            } else if !again.is_empty() && self.hit(10) {
                for text in again.drain(..) {
                    store(room, &mut log, &text);
                }
            }
        }
        for text in again {
            store(room, &mut log, &text);
        }
        log
    }

    /// Writes a member's trace: it joins early, is away now and then, rejoins with `since`, and stays to the end.
    fn write_trace(&mut self, room: &mut Room, place: usize, log: &[u32]) {
        let time = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut at = self.rng.random_range(0..=log.len() / 4);
        room.observe(place, time(at), Observation::Joined(Join::Fresh));
        for message in &log[at.saturating_sub(50)..at] {
            room.observe(place, time(at), Observation::Page(*message));
        }
        while at < log.len() {
            room.observe(place, time(at), Observation::Live(log[at]));
            at += 1;
            if self.hit(300) {
                room.observe(place, time(at), Observation::Disconnected);
                let back = log.len().min(at + self.rng.random_range(0..=200));
                let lost = self.damages(Kind::Reset);
                let join = if lost { Join::NotRecovered } else { Join::Recovered };
                room.observe(place, time(back), Observation::Joined(join));
                let from = if lost { back.saturating_sub(50) } else { at };
                for message in &log[from..back] {
                    room.observe(place, time(back), Observation::Page(*message));
                }
                at = back;
            }
        }
    }

    /// Inserts deliveries that nobody sent, each with an id that sorts right after its neighbour's.
    fn forge(&mut self, room: &mut Room, place: usize) {
        let mut index = 0;
        while let Some(entry) = room.traces[place].entries.get(index).copied() {
            if let Observation::Live(message) = entry.observation
                && self.damages(Kind::NeverSent)
            {
                let id = format!("{}-{place}", room.messages[message as usize].id);
                let forged = room.intern(&id, &format!("forged {place} {index}"));
                room.traces[place].entries.insert(index + 1, Entry { observation: Observation::Live(forged), ..entry });
                index += 1;
            }
            index += 1;
        }
    }

    /// Leaves out, doubles or swaps some of one member's live deliveries.
    fn damage_trace(&mut self, entries: &mut Vec<Entry>) {
        let is_live = |entry: Option<&Entry>| matches!(entry, Some(Entry { observation: Observation::Live(_), .. }));
        let mut index = 0;
        while index < entries.len() {
            let live = is_live(entries.get(index));
            if live && self.damages(Kind::Lost) {
                entries.remove(index);
                continue;
            }
            if live && self.damages(Kind::Doubled) {
                let later = entries.len().min(index + 1 + self.rng.random_range(0..20));
                // Not among the pages of a join: no live message comes between them.
                let later = (later..entries.len()).find(|at| is_live(entries.get(*at)));
                entries.insert(later.unwrap_or(entries.len()), entries[index]);
            }
            if live && is_live(entries.get(index + 1)) && self.damages(Kind::Reordered) {
                entries.swap(index, index + 1);
                index += 1;
            }
            index += 1;
        }
    }
}

fn store(room: &mut Room, log: &mut Vec<u32>, text: &str) -> u32 {
    let message = room.intern(&format!("1a-{:012}", log.len() + 1), text);
    log.push(message);
    message
}
