//! Waits for sockets: one epoll, level-triggered, and a timer with a resolution of nanoseconds. epoll's own timeout is in
//! milliseconds, too coarse for messages that are due every 25 µs.

use std::{io, os::fd::OwnedFd};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime},
};

use crate::{clock::timespec, tcp::Tcp};

/// Sockets that are ready at a time.
const BATCH: usize = 1_024;
/// The timer's token.
const TIMER: u64 = u64::MAX;

/// A ready socket.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// As given to [`Poll::add`].
    pub token: usize,
    /// There is something to read, or the connection has ended.
    pub readable: bool,
    /// There is room to write, or connecting has ended.
    pub writable: bool,
}

/// The sockets that are waited for.
pub struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// The time that the timer is set to.
    armed: u64,
    events: Vec<Event>,
}

impl Poll {
    /// Waits for nothing yet.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self { epoll, timer, armed: 0, events: Vec::with_capacity(BATCH) })
    }

    /// Waits for this socket, too, until it is closed.
    pub fn add(&self, tcp: &Tcp, token: usize, write: bool) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, tcp, data(token), flags(write))?)
    }

    /// Waits for room to write, or not any more.
    pub fn want_write(&self, tcp: &Tcp, token: usize, write: bool) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, tcp, data(token), flags(write))?)
    }

    /// Does not wait for this socket any more.
    pub fn remove(&self, tcp: &Tcp) {
        // It fails only for a socket that was never added.
        let _ = epoll::delete(&self.epoll, tcp);
    }

    /// Waits until sockets are ready or the clock has reached `until`; appends those sockets to `ready`.
    pub fn wait(&mut self, until: u64, ready: &mut Vec<Ready>) -> io::Result<()> {
        if self.armed != until {
            let once = Itimerspec { it_interval: timespec(0), it_value: timespec(until.max(1)) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
            self.armed = until;
        }
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let (token, flags) = (event.data.u64(), event.flags);
            // The timer stays readable until it is set again: the caller's clock has reached `until` then.
            if token != TIMER {
                ready.push(Ready {
                    token: usize::try_from(token).unwrap_or(usize::MAX),
                    readable: flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP),
                    writable: flags.contains(EventFlags::OUT),
                });
            }
        }
        Ok(())
    }
}

fn data(token: usize) -> EventData {
    EventData::new_u64(token as u64)
}

fn flags(write: bool) -> EventFlags {
    if write { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN }
}
