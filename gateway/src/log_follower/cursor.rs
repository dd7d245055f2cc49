//! The position in a log that was delivered last. Pure: it decides, its callers read and deliver.

use jackfield_cluster::log::{Page, Position};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    at: Position,
}

/// Decision about a message received over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Live {
    /// It is the next one.
    Deliver,
    /// It was delivered before, or belongs to an earlier epoch: skip it.
    Seen,
    /// An earlier message is missing, or the log began a new epoch, in which it may go on: read the log.
    Repair,
}

/// Decision about a page that was read after the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Deliver the page's messages from index `from` on; `more` if the log continues after them. With `lost`, the
    /// missed numbers up to it are no longer kept: reset the sink first, and do not read the page again, because its
    /// oldest message may be dropped before the next read.
    Deliver { lost: Option<Position>, from: usize, more: bool },
    /// The log may not have what was delivered, and begins anew at `at`: reset the sink, and read again after it.
    Anew { at: Position },
}

impl Cursor {
    pub(crate) fn new(at: Position) -> Self {
        Self { at }
    }

    pub(crate) fn at(self) -> Position {
        self.at
    }

    /// Decides about a message received over the bus.
    pub(crate) fn live(&mut self, position: Position) -> Live {
        if position <= self.at {
            return Live::Seen;
        }
        if position.epoch == self.at.epoch && position.number == self.at.number + 1 {
            self.at = position;
            return Live::Deliver;
        }
        Live::Repair
    }

    /// Decides about a page that was read after the cursor, and advances the cursor.
    pub(crate) fn read<B>(&mut self, page: &Page<B>) -> Read {
        if page.end.epoch != self.at.epoch {
            let goes_on = page.number_of(self.at);
            // A reader that begins anew gets what was written in the present epoch.
            let begun_at = || page.earlier.last().map_or(page.base, |end| end.number);
            self.at = Position { epoch: page.end.epoch, number: goes_on.unwrap_or_else(begun_at) };
            if goes_on.is_none() {
                return Read::Anew { at: self.at };
            }
        }
        let from = page.messages.partition_point(|message| message.position.number <= self.at.number);
        let next = page.messages.get(from).map(|message| message.position.number);
        let lost = match next {
            Some(number) if number > self.at.number + 1 => Some(Position { number: number - 1, ..self.at }),
            None if page.end.number > self.at.number => Some(page.end),
            _ => None,
        };
        let last = page.messages.last().map(|message| Position { number: message.position.number, ..self.at });
        self.at = self.at.max(lost.max(last).unwrap_or(self.at));
        Read::Deliver { lost, from, more: self.at < page.end }
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
