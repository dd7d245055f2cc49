//! Senders send to their rooms. What is counted are the deliveries: one for each member, the sender too.
//!
//! - As fast as it goes: each sender keeps a number of messages under way; a message is done when all members have it.
//! - Paced: messages are due at fixed intervals, whatever the servers do. A message's time counts from when it was due,
//!   so a server that is late with one is not excused for the next.

mod open;

use anyhow::{Result, ensure};

use super::{Work, crowd, measure};
use crate::{
    args::Args,
    checker::Checker,
    clock::{SECOND, now},
    crowd::{Crowd, Workload},
    dialect::{FIRST_MESSAGE, Packet},
    histogram::Histogram,
    layout::Layout,
    mark::Mark,
    outcome::Outcome,
};
use open::Open;

/// How often to look for messages that not everybody gets.
const REVIEW: u64 = SECOND / 10;

/// A client that sends.
struct Sender {
    socket: usize,
    room: usize,
    /// Members of the room when the run began.
    members: u32,
    sent: u32,
    acknowledged: u32,
    open: Open,
}

/// When messages are due.
struct Pace {
    interval: u64,
    next: u64,
    sender: usize,
}

/// The clients' work.
struct Rooms {
    layout: Layout,
    size: usize,
    window: u32,
    senders: Vec<Sender>,
    /// The sender that a socket is.
    sender_of: Vec<Option<usize>>,
    checker: Checker,
    /// Sockets that were ready when the run began.
    ready: Vec<bool>,
    counting: bool,
    finished: bool,
    count: u64,
    /// Deliveries of the whole run.
    delivered: u64,
    refused: u64,
    stalled: u64,
    lag: u64,
    latency: Histogram,
}

struct Run {
    crowd: Crowd,
    rooms: Rooms,
    pace: Option<Pace>,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Outcome> {
    let mut crowd = crowd(args)?;
    let gathered = crowd.gather()?;
    let layout = Layout::new(args.sockets, args.room_size, args.senders);
    ensure!(layout.all_senders() > 0, "no room has a sender");
    let pace = args.rate.map(|rate| Pace { interval: SECOND / rate.max(1), next: now(), sender: 0 });
    let rooms = Rooms::new(args, layout, &crowd);
    let mut run = Run { crowd, rooms, pace };
    let usage = measure(args, &mut run)?;
    let rooms = &run.rooms;
    let sent = |socket: usize, place: usize| match rooms.layout.room(socket) {
        Some(room) if rooms.ready[socket] => rooms.senders[room * rooms.layout.senders + place].sent,
        _ => 0,
    };
    let unanswered = |sender: &Sender| u64::from(sender.sent.saturating_sub(sender.acknowledged));
    let members: u64 = rooms.senders.iter().map(|sender| u64::from(sender.members)).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let expected_per_second = args.rate.map(|rate| rate as f64 * members as f64 / rooms.senders.len() as f64);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of one run")]
    let lag_ms = run.pace.as_ref().map(|_| rooms.lag as f64 / 1e6);
    let outcome = Outcome::of_crowd(&run.crowd).with_count(rooms.count, &usage).with_latency(&rooms.latency);
    Ok(Outcome {
        rejoins: gathered.rejoins,
        verdict: Some(rooms.checker.verdict(sent)),
        unanswered: rooms.senders.iter().map(unanswered).sum(),
        refused: rooms.refused,
        stalled: rooms.stalled,
        expected_per_second,
        lag_ms,
        ..outcome
    })
}

impl Rooms {
    fn new(args: &Args, layout: Layout, crowd: &Crowd) -> Self {
        let ready: Vec<bool> = (0..args.sockets).map(|socket| crowd.is_ready(socket)).collect();
        let mut members = vec![0; layout.rooms];
        for room in (0..args.sockets).filter(|socket| ready[*socket]).filter_map(|socket| layout.room(socket)) {
            members[room] += 1;
        }
        let mut sender_of = vec![None; args.sockets];
        let sender = |number| {
            let socket = layout.socket_of(number);
            let room = number / layout.senders;
            sender_of[socket] = Some(number);
            Sender { socket, room, members: members[room], sent: 0, acknowledged: 0, open: Open::default() }
        };
        let senders = (0..layout.all_senders()).map(sender).collect();
        let heard = |socket| layout.room(socket).map_or(0, |_| layout.senders);
        Self {
            checker: Checker::new((0..args.sockets).map(heard)),
            size: args.size,
            window: if args.rate.is_none() { args.window } else { 0 },
            senders,
            sender_of,
            ready,
            layout,
            counting: false,
            finished: false,
            count: 0,
            delivered: 0,
            refused: 0,
            stalled: 0,
            lag: 0,
            latency: Histogram::default(),
        }
    }

    /// Sends one message that was due at `time`.
    fn send(&mut self, crowd: &mut Crowd, number: usize, time: u64) {
        let sender = &mut self.senders[number];
        let mark = Mark { sender: u32::try_from(number).unwrap_or(u32::MAX), sequence: sender.sent, time };
        sender.sent += 1;
        if self.window > 0 {
            sender.open.begin(sender.members, time);
        }
        let (id, room, size) = (FIRST_MESSAGE + u64::from(mark.sequence), sender.room, self.size);
        let (socket, dialect) = (sender.socket, crowd.dialect());
        crowd.text(socket, |text| dialect.publish(text, id, room, |text| mark.append(text, size)));
    }

    /// Begins messages until the sender's window is full.
    fn fill(&mut self, crowd: &mut Crowd, number: usize) {
        while !self.finished && self.senders[number].open.count() < self.window {
            self.send(crowd, number, now());
        }
    }

    /// Deliveries and acknowledgements that are still to come.
    fn under_way(&self) -> u64 {
        let deliveries = |sender: &Sender| u64::from(sender.sent) * u64::from(sender.members);
        let answers = |sender: &Sender| u64::from(sender.sent.saturating_sub(sender.acknowledged));
        let deliveries: u64 = self.senders.iter().map(deliveries).sum();
        deliveries.saturating_sub(self.delivered) + self.senders.iter().map(answers).sum::<u64>()
    }

    fn delivered(&mut self, crowd: &mut Crowd, who: usize, message: &[u8], now: u64) {
        let mark = Mark::find(message);
        let number = mark.map(|mark| mark.sender as usize).filter(|number| *number < self.senders.len());
        let (Some(mark), Some(number)) = (mark, number) else { return };
        let place = self.layout.room(who).and_then(|room| self.layout.place(number, room));
        let sender = &mut self.senders[number];
        if !self.checker.received(who, place, mark.sequence, sender.sent) {
            return;
        }
        self.delivered += 1;
        if self.counting {
            self.count += 1;
            self.latency.add(now.saturating_sub(mark.time));
        }
        if self.window > 0 && sender.open.delivered(mark.sequence) {
            self.fill(crowd, number);
        }
    }
}

impl Workload for Rooms {
    fn received(&mut self, crowd: &mut Crowd, who: usize, packet: Packet<'_>, now: u64) {
        match packet {
            Packet::Message(message) => self.delivered(crowd, who, message, now),
            Packet::Ack { id, done, .. } if id >= FIRST_MESSAGE => {
                if let Some(number) = self.sender_of[who] {
                    self.senders[number].acknowledged += 1;
                    self.refused += u64::from(!done);
                }
            }
            _ => {}
        }
    }
}

impl Work for Run {
    fn tick(&mut self, now: u64) -> u64 {
        let rooms = &mut self.rooms;
        let Some(pace) = &mut self.pace else {
            for number in 0..rooms.senders.len() {
                rooms.stalled += rooms.senders[number].open.give_up(now);
                rooms.fill(&mut self.crowd, number);
            }
            return now + REVIEW;
        };
        while pace.next <= now {
            if rooms.counting {
                rooms.lag = rooms.lag.max(now - pace.next);
            }
            rooms.send(&mut self.crowd, pace.sender, pace.next);
            pace.sender = (pace.sender + 1) % rooms.senders.len();
            pace.next += pace.interval;
        }
        pace.next
    }

    fn turn(&mut self, until: u64) -> Result<()> {
        self.crowd.turn(&mut self.rooms, until)
    }

    fn count(&mut self, on: bool) {
        self.rooms.counting = on;
    }

    fn finish(&mut self) -> u64 {
        self.rooms.finished = true;
        self.rooms.under_way()
    }
}
