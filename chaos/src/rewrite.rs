//! Changes the addresses in what a Redis sends, so that a client of a Sentinel or a Redis Cluster reaches every server that
//! it is told of through a link of its own. Pure.
//!
//! An address is `127.0.0.1` and a port, as MOVED and ASK write it, CLUSTER SLOTS, or a sentinel. Ports have five digits
//! on both sides, so lengths stay, and with them the protocol. Bytes that may be the beginning of an address are held
//! back until the rest has come, or until [`Rewriter::flush`].

use std::collections::HashMap;

const HOST: &[u8] = b"127.0.0.1";
/// Between host and port: MOVED and ASK; CLUSTER SLOTS; a sentinel's two answers; a sentinel's message.
const BETWEEN: [&[u8]; 5] = [b":", b"\r\n:", b"\r\n$5\r\n", b"\r\n$4\r\nport\r\n$5\r\n", b" "];
const DIGITS: usize = 5;

/// See the module.
pub struct Rewriter<'a> {
    ports: &'a HashMap<u16, u16>,
    held: Vec<u8>,
}

/// The bytes at one place.
enum Found {
    /// An address whose port begins that far on.
    Port(usize),
    /// The beginning of one, and the end of what has come.
    Beginning,
    /// Anything else.
    Other,
}

impl<'a> Rewriter<'a> {
    /// Replaces each port that is a key by its value.
    pub fn new(ports: &'a HashMap<u16, u16>) -> Self {
        Self { ports, held: Vec::new() }
    }

    /// Takes the next bytes, and returns those that are finished.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = [std::mem::take(&mut self.held), bytes.to_vec()].concat();
        let mut place = 0;
        while place < bytes.len() {
            match find(&bytes[place..]) {
                Found::Other => place += 1,
                Found::Port(offset) => {
                    let port = &mut bytes[place + offset..place + offset + DIGITS];
                    let number = std::str::from_utf8(port).ok().and_then(|digits| digits.parse().ok());
                    if let Some(other) = number.and_then(|number: u16| self.ports.get(&number)) {
                        port.copy_from_slice(format!("{other:05}").as_bytes());
                    }
                    place += offset + DIGITS;
                }
                Found::Beginning => {
                    self.held = bytes.split_off(place);
                    break;
                }
            }
        }
        bytes
    }

    /// Whether bytes are held back.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns what is held back: no more comes.
    pub fn flush(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

fn find(bytes: &[u8]) -> Found {
    let begins = |bytes: &[u8], with: &[u8]| bytes.iter().zip(with).all(|(byte, wanted)| byte == wanted);
    if !begins(bytes, HOST) {
        return Found::Other;
    }
    let Some(rest) = bytes.get(HOST.len()..) else { return Found::Beginning };
    for between in BETWEEN.into_iter().filter(|between| begins(rest, between)) {
        let Some(port) = rest.get(between.len()..) else { return Found::Beginning };
        let digits = port.iter().take(DIGITS).all(u8::is_ascii_digit);
        match port.len() {
            0..DIGITS if digits => return Found::Beginning,
            DIGITS.. if digits => return Found::Port(HOST.len() + between.len()),
            _ => {}
        }
    }
    Found::Other
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SENT: &str = "-MOVED 1 127.0.0.1:26001\r\n-ASK 1 127.0.0.1:26002\r\n*2\r\n$9\r\n127.0.0.1\r\n:26001\r\n*2\r\n\
                        $9\r\n127.0.0.1\r\n$5\r\n26002\r\n127.0.0.1 26001 127.0.0.1 26003\r\n:26001\r\n127.0.0.1:2600\r\n\
                        $9\r\n127.0.0.1\r\n$4\r\nport\r\n$5\r\n26002\r\n$9\r\n127.0.0.1\r\n";
    const WANTED: &str = "-MOVED 1 127.0.0.1:31001\r\n-ASK 1 127.0.0.1:31002\r\n*2\r\n$9\r\n127.0.0.1\r\n:31001\r\n*2\r\n\
                          $9\r\n127.0.0.1\r\n$5\r\n31002\r\n127.0.0.1 31001 127.0.0.1 26003\r\n:26001\r\n127.0.0.1:2600\r\n\
                          $9\r\n127.0.0.1\r\n$4\r\nport\r\n$5\r\n31002\r\n$9\r\n127.0.0.1\r\n";

    proptest! {
        #[test]
        fn addresses_are_changed_however_the_bytes_arrive(cuts in prop::collection::vec(0..SENT.len(), 0..40)) {
            let ports = HashMap::from([(26_001, 31_001), (26_002, 31_002)]);
            let mut rewriter = Rewriter::new(&ports);
            let mut cuts = cuts;
            cuts.extend([0, SENT.len()]);
            cuts.sort_unstable();
            let mut received = Vec::new();
            for pair in cuts.windows(2) {
                received.extend(rewriter.feed(&SENT.as_bytes()[pair[0]..pair[1]]));
            }
            prop_assert!(rewriter.holds(), "the last bytes may be an address");
            received.extend(rewriter.flush());
            prop_assert_eq!(String::from_utf8(received).unwrap(), WANTED);
        }
    }
}
