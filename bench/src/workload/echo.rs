//! Every client keeps a number of `echo` requests under way. What is counted are the acknowledgements.

use anyhow::Result;

use super::{Work, crowd, measure};
use crate::{
    args::Args,
    checker::{Checker, Verdict},
    clock::{SECOND, now},
    crowd::{Crowd, Workload},
    dialect::{FIRST_MESSAGE, Packet, socketio},
    histogram::Histogram,
    mark::Mark,
    outcome::Outcome,
    usage::Usage,
};

/// The requests and answers of all clients, whatever their transport.
pub struct Echoes {
    size: usize,
    /// Requests of each client.
    sent: Vec<u32>,
    /// A client receives the answers to its own requests only: it hears one sender.
    checker: Checker,
    counting: bool,
    finished: bool,
    count: u64,
    answered: u64,
    latency: Histogram,
}

impl Echoes {
    /// No client has sent anything.
    pub fn new(clients: usize, size: usize) -> Self {
        Self {
            size,
            sent: vec![0; clients],
            checker: Checker::new(std::iter::repeat_n(1, clients)),
            counting: false,
            finished: false,
            count: 0,
            answered: 0,
            latency: Histogram::default(),
        }
    }

    /// Appends a client's next request; nothing if the run is over.
    pub fn request(&mut self, who: usize, text: &mut Vec<u8>) -> bool {
        if self.finished {
            return false;
        }
        let sequence = self.sent[who];
        self.sent[who] += 1;
        let mark = Mark { sender: u32::try_from(who).unwrap_or(u32::MAX), sequence, time: now() };
        let size = self.size;
        socketio::echo(text, FIRST_MESSAGE + u64::from(sequence), |text| mark.append(text, size));
        true
    }

    /// Takes note of an answer. Returns whether the client may send another request.
    pub fn answered(&mut self, who: usize, id: u64, body: &[u8], now: u64) -> bool {
        let Some(mark) = Mark::find(body) else { return false };
        // The answer must belong to this request of this client.
        let own = mark.sender as usize == who && id == FIRST_MESSAGE + u64::from(mark.sequence);
        if !self.checker.received(who, own.then_some(0), mark.sequence, self.sent[who]) {
            return false;
        }
        self.answered += 1;
        if self.counting {
            self.count += 1;
            self.latency.add(now.saturating_sub(mark.time));
        }
        true
    }

    /// Counts from now on, or not any more.
    pub fn count(&mut self, on: bool) {
        self.counting = on;
    }

    /// No more requests. Returns how many are not answered.
    pub fn finish(&mut self) -> u64 {
        self.finished = true;
        self.sent.iter().map(|sent| u64::from(*sent)).sum::<u64>() - self.answered
    }

    /// Adds the figures.
    pub fn conclude(&self, outcome: Outcome, usage: &Usage) -> Outcome {
        let verdict: Verdict = self.checker.verdict(|who, _| self.sent[who]);
        let outcome = outcome.with_count(self.count, usage).with_latency(&self.latency);
        Outcome { verdict: Some(verdict), unanswered: verdict.lost, ..outcome }
    }
}

/// The run over WebSocket.
struct Echo {
    crowd: Crowd,
    echoes: Echoes,
    /// Requests that each client begins with; none once they are sent.
    window: u32,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Outcome> {
    let mut crowd = crowd(args)?;
    crowd.gather()?;
    let mut echo = Echo { crowd, echoes: Echoes::new(args.sockets, args.size), window: args.window };
    let usage = measure(args, &mut echo)?;
    Ok(echo.echoes.conclude(Outcome::of_crowd(&echo.crowd), &usage))
}

impl Workload for Echoes {
    fn received(&mut self, crowd: &mut Crowd, who: usize, packet: Packet<'_>, now: u64) {
        if let Packet::Ack { id, body, .. } = packet
            && self.answered(who, id, body, now)
            && !self.finished
        {
            crowd.text(who, |text| {
                self.request(who, text);
            });
        }
    }
}

impl Work for Echo {
    fn tick(&mut self, now: u64) -> u64 {
        let window = std::mem::take(&mut self.window);
        for who in (0..self.echoes.sent.len()).filter(|who| window > 0 && self.crowd.is_ready(*who)).collect::<Vec<_>>()
        {
            for _ in 0..window {
                self.crowd.text(who, |text| {
                    self.echoes.request(who, text);
                });
            }
        }
        now + SECOND
    }

    fn turn(&mut self, until: u64) -> Result<()> {
        self.crowd.turn(&mut self.echoes, until)
    }

    fn count(&mut self, on: bool) {
        self.echoes.count(on);
    }

    fn finish(&mut self) -> u64 {
        self.echoes.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(echoes: &mut Echoes, who: usize) -> Vec<u8> {
        let mut text = Vec::new();
        assert!(echoes.request(who, &mut text));
        text
    }

    #[test]
    fn each_answer_allows_one_request_and_the_verdict_is_clean() {
        let mut echoes = Echoes::new(2, 64);
        let (first, second) = (request(&mut echoes, 0), request(&mut echoes, 0));
        assert!(echoes.answered(0, 1, &first, 0));
        assert_eq!(echoes.finish(), 1);
        assert!(echoes.answered(0, 2, &second, 0));
        assert_eq!(echoes.finish(), 0);
        assert!(!echoes.request(0, &mut Vec::new()), "the run is over");
        assert!(echoes.checker.verdict(|who, _| echoes.sent[who]).is_clean());
    }

    #[test]
    fn catches_answers_that_are_missing_doubled_swapped_or_somebody_elses() {
        let mut echoes = Echoes::new(2, 64);
        let requests: Vec<_> = (0..3).map(|_| request(&mut echoes, 0)).collect();
        let other = request(&mut echoes, 1);
        assert!(echoes.answered(0, 2, &requests[1], 0));
        assert!(echoes.answered(0, 1, &requests[0], 0), "late, but the first time");
        assert!(!echoes.answered(0, 1, &requests[0], 0), "again");
        assert!(!echoes.answered(0, 1, &other, 0), "of another client");
        assert!(!echoes.answered(0, 1, &requests[2], 0), "under another request's id");
        let expected = Verdict { lost: 2, doubled: 1, reordered: 1, misdirected: 2 };
        assert_eq!(echoes.checker.verdict(|who, _| echoes.sent[who]), expected);
    }
}
