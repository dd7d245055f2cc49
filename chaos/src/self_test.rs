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

/// Kinds of damage to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// One live delivery in so many is left out.
    Drop(u32),
    /// One live delivery in so many comes twice, the second time a little later.
    Double(u32),
    /// One live delivery in so many changes places with the next.
    Swap(u32),
    /// One message in so many is stored twice, as if the server did not know `clientId`s.
    StoreTwice(u32),
    /// One live delivery in so many is followed by a message that nobody sent.
    Forge(u32),
    /// One reconnect in so many is not recovered.
    Reset(u32),
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
        ("nothing", Damage::None),
        ("1 delivery in 500 dropped", Damage::Drop(500)),
        ("1 delivery in 500 doubled", Damage::Double(500)),
        ("1 delivery in 500 swapped", Damage::Swap(500)),
        ("1 clientId in 500 stored twice", Damage::StoreTwice(500)),
        ("1 delivery in 500 forged", Damage::Forge(500)),
        ("1 reconnect in 20 not recovered", Damage::Reset(20)),
    ];
    println!("{:34} {:>10} {:>8} {:>8}", "damage", "deliveries", "done", "found");
    let mut missed = Vec::new();
    for (name, damage) in damages {
        let script = script(size, damage, seed);
        let verdict = checker::check(&script.rooms, &script.sent, &Rules::default());
        let found = found(&verdict, damage);
        let right = exact(&verdict, damage, script.damaged);
        println!(
            "{name:34} {:>10} {:>8} {found:>8}  {}",
            verdict.deliveries,
            script.damaged,
            if right { "caught" } else { "NOT CAUGHT" }
        );
        if !right {
            missed.push(name);
        }
    }
    ensure!(missed.is_empty(), "the checker misses: {}", missed.join(", "));
    Ok(())
}

/// The kind of violation that this damage must be found as.
fn kind(damage: Damage) -> Option<Kind> {
    match damage {
        Damage::None => None,
        Damage::Drop(_) => Some(Kind::Lost),
        Damage::Double(_) => Some(Kind::Doubled),
        Damage::Swap(_) => Some(Kind::Reordered),
        Damage::StoreTwice(_) => Some(Kind::StoredTwice),
        Damage::Forge(_) => Some(Kind::NeverSent),
        Damage::Reset(_) => Some(Kind::Reset),
    }
}

/// Number of violations that the checker found for that damage.
fn found(verdict: &Verdict, damage: Damage) -> u64 {
    kind(damage).map_or(0, |kind| verdict.count(kind))
}

/// Whether the checker found all of the damage, and nothing of another kind.
pub fn exact(verdict: &Verdict, damage: Damage, damaged: u64) -> bool {
    // A member that received both copies saw the content twice.
    let follows = matches!(damage, Damage::StoreTwice(_)).then_some(Kind::Doubled);
    let explained: u64 = kind(damage).into_iter().chain(follows).map(|kind| verdict.count(kind)).sum();
    found(verdict, damage) == damaged && verdict.all() == explained
}

/// Writes a run, and damages it.
pub fn script(size: Size, damage: Damage, seed: u64) -> Script {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut script = Script { rooms: Vec::new(), sent: vec![Vec::new(); 2 * size.rooms as usize], damaged: 0 };
    for number in 0..size.rooms {
        let members = (0..size.members).map(|member| number * size.members + member);
        let mut room = Room::new(format!("room-{number}"), members);
        let log = write_log(&mut room, number, size.messages, damage, &mut script, &mut rng);
        for place in 0..room.traces.len() {
            script.damaged += write_trace(&mut room, place, &log, damage, &mut rng);
        }
        if let Damage::Forge(one_in) = damage {
            script.damaged += forge(&mut room, one_in, &mut rng);
        }
        for trace in &mut room.traces {
            script.damaged += damage_trace(&mut trace.entries, damage, &mut rng);
        }
        script.rooms.push(room);
    }
    script
}

fn hit(rng: &mut StdRng, one_in: u32) -> bool {
    rng.random_ratio(1, one_in.max(1))
}

/// Writes the room's log: messages of two senders, mixed, all acknowledged, one per millisecond.
fn write_log(
    room: &mut Room,
    number: u32,
    messages: u32,
    damage: Damage,
    script: &mut Script,
    rng: &mut StdRng,
) -> Vec<u32> {
    let mut log = Vec::new();
    // Second copies, with the same `clientId`, that are not stored yet.
    let mut again: Vec<String> = Vec::new();
    for at in 0..messages {
        let sender = 2 * number + rng.random_range(0..2);
        let sent = &mut script.sent[sender as usize];
        let key = Key { sender, sequence: u32::try_from(sent.len()).unwrap_or(u32::MAX) };
        let at_us = u64::from(at) * 1_000;
        let text = content(key, at_us, 64);
        sent.push(Sent { room: number, at_us, connection: 0, tries: 1 });
        let message = store(room, &mut log, &text);
        room.acked.push(Acked { key, message });
        if matches!(damage, Damage::StoreTwice(one_in) if hit(rng, one_in)) {
            script.damaged += 1;
            again.push(text);
        } else if !again.is_empty() && hit(rng, 10) {
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

fn store(room: &mut Room, log: &mut Vec<u32>, text: &str) -> u32 {
    let message = room.intern(&format!("1a-{:012}", log.len() + 1), text);
    log.push(message);
    message
}

/// Writes a member's trace: it joins early, is away now and then, rejoins with `since`, and stays to the end. Returns
/// the number of reconnects that [`Damage::Reset`] damaged.
fn write_trace(room: &mut Room, place: usize, log: &[u32], damage: Damage, rng: &mut StdRng) -> u64 {
    let mut damaged = 0;
    let time = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut at = rng.random_range(0..=log.len() / 4);
    room.observe(place, time(at), Observation::Joined(Join::Fresh));
    for message in &log[at.saturating_sub(50)..at] {
        room.observe(place, time(at), Observation::Page(*message));
    }
    while at < log.len() {
        room.observe(place, time(at), Observation::Live(log[at]));
        at += 1;
        if hit(rng, 300) {
            room.observe(place, time(at), Observation::Disconnected);
            let back = log.len().min(at + rng.random_range(0..=200));
            let lost = matches!(damage, Damage::Reset(one_in) if hit(rng, one_in));
            damaged += u64::from(lost);
            let join = if lost { Join::NotRecovered } else { Join::Recovered };
            room.observe(place, time(back), Observation::Joined(join));
            let from = if lost { back.saturating_sub(50) } else { at };
            for message in &log[from..back] {
                room.observe(place, time(back), Observation::Page(*message));
            }
            at = back;
        }
    }
    damaged
}

/// Damages one member's live deliveries; returns how often.
fn damage_trace(entries: &mut Vec<Entry>, damage: Damage, rng: &mut StdRng) -> u64 {
    let mut damaged = 0;
    let is_live = |entry: Option<&Entry>| matches!(entry, Some(Entry { observation: Observation::Live(_), .. }));
    let mut index = 0;
    while index < entries.len() {
        let live = is_live(entries.get(index));
        match damage {
            Damage::Drop(one_in) if live && hit(rng, one_in) => {
                entries.remove(index);
                damaged += 1;
                continue;
            }
            Damage::Double(one_in) if live && hit(rng, one_in) => {
                let later = entries.len().min(index + 1 + rng.random_range(0..20));
                // Not among the pages of a join: no live message comes between them.
                let later = (later..=entries.len()).find(|at| *at == entries.len() || is_live(entries.get(*at)));
                entries.insert(later.unwrap_or(entries.len()), entries[index]);
                damaged += 1;
            }
            Damage::Swap(one_in) if live && is_live(entries.get(index + 1)) && hit(rng, one_in) => {
                entries.swap(index, index + 1);
                damaged += 1;
                index += 1;
            }
            _ => {}
        }
        index += 1;
    }
    damaged
}

/// Inserts deliveries that nobody sent, each with an id that sorts right after its neighbour's; returns how many.
fn forge(room: &mut Room, one_in: u32, rng: &mut StdRng) -> u64 {
    let mut damaged = 0;
    for place in 0..room.traces.len() {
        let mut index = 0;
        while let Some(entry) = room.traces[place].entries.get(index).copied() {
            if let Observation::Live(message) = entry.observation
                && hit(rng, one_in)
            {
                let id = format!("{}-{place}", room.messages[message as usize].id);
                let forged = room.intern(&id, &format!("forged {place} {index}"));
                room.traces[place].entries.insert(index + 1, Entry { observation: Observation::Live(forged), ..entry });
                damaged += 1;
                index += 1;
            }
            index += 1;
        }
    }
    damaged
}
