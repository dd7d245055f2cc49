//! Decodes what Redis sends on a connection for subscriptions: RESP3, one frame after the other.
//!
//! A message is found and handed out without a copy: it takes about a tenth of the time of redis-rs's parser, which
//! decodes everything else once a frame is whole. Guarantees: any bytes are a frame, a wait for more, or an error that
//! ends the connection. At most [`LONGEST`] bytes and the last read are buffered: a longer message is skipped and
//! reported.

use std::ops::Range;

use bytes::{Buf as _, BytesMut};
use memchr::memchr;
use redis::{ErrorKind, RedisError, RedisResult, Value, parse_redis_value};

/// Bytes of the longest frame.
const LONGEST: usize = 64 * 1024 * 1024;
/// Bytes of the longest line within a frame, such as an error.
const LONGEST_LINE: usize = 64 * 1024;
/// Values that a frame may have.
const MOST_VALUES: usize = 4_096;
/// Bytes of a buffer that is kept, when nothing is in it.
const KEPT: usize = 1024 * 1024;
/// Texts of a frame whose places are kept: those of a message on a pattern.
const TEXTS: usize = 4;

/// One frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame<'a> {
    /// A message on a subscribed channel.
    Message { channel: &'a [u8], payload: &'a [u8] },
    /// A message on a channel that matches a subscribed pattern.
    Matched { channel: &'a [u8], payload: &'a [u8] },
    /// A message that was skipped because it is too long.
    TooLong,
    /// Anything else.
    Other(Value),
}

/// The bytes that were read and not decoded yet.
pub(crate) struct Frames {
    buffer: BytesMut,
    /// Bytes of the longest frame.
    longest: usize,
    /// Bytes at the beginning of the buffer that belong to the last frame.
    taken: usize,
    /// Bytes of a skipped message that have not arrived yet.
    skip: usize,
}

/// A frame's end, and the places of its first texts.
struct Shape {
    end: usize,
    texts: [Range<usize>; TEXTS],
    count: usize,
}

enum Measured {
    Whole(Shape),
    /// Ends here at the earliest; `is_last` if exactly here.
    Part {
        end: usize,
        is_last: bool,
    },
}

impl Default for Frames {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), longest: LONGEST, taken: 0, skip: 0 }
    }
}

impl Frames {
    /// The buffer to read more into.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.advance(std::mem::take(&mut self.taken));
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = BytesMut::new();
        }
        &mut self.buffer
    }

    /// The next frame, if it is whole.
    pub(crate) fn next(&mut self) -> RedisResult<Option<Frame<'_>>> {
        self.buffer.advance(std::mem::take(&mut self.taken));
        if self.skip > 0 {
            let skipped = self.skip.min(self.buffer.len());
            self.buffer.advance(skipped);
            self.skip -= skipped;
            if self.skip > 0 {
                return Ok(None);
            }
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        match measure(&self.buffer)? {
            Measured::Whole(shape) => {
                self.taken = shape.end;
                self.decode(&shape).map(Some)
            }
            Measured::Part { end, is_last } if end > self.longest => {
                if !is_last || self.buffer[0] != b'>' {
                    return Err(malformed("a frame is too long"));
                }
                self.skip = end - self.buffer.len();
                self.buffer.clear();
                Ok(Some(Frame::TooLong))
            }
            Measured::Part { .. } => Ok(None),
        }
    }

    fn decode(&self, Shape { end, texts, count }: &Shape) -> RedisResult<Frame<'_>> {
        let bytes = &self.buffer[..*end];
        let text = |number: usize| &bytes[texts[number].clone()];
        match (&bytes[..2], count, text(0)) {
            (b">3", 3, b"message" | b"smessage") => Ok(Frame::Message { channel: text(1), payload: text(2) }),
            (b">4", 4, b"pmessage") => Ok(Frame::Matched { channel: text(2), payload: text(3) }),
            _ => parse_redis_value(bytes).map(Frame::Other),
        }
    }
}

/// Finds the end of the first frame.
fn measure(bytes: &[u8]) -> RedisResult<Measured> {
    let (mut at, mut left) = (0, 1_usize);
    let (mut texts, mut count) = ([const { 0..0 }; TEXTS], 0);
    while left > 0 {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(length) = memchr(b'\n', &rest[..rest.len().min(LONGEST_LINE)]) else {
            if rest.len() >= LONGEST_LINE {
                return Err(malformed("a line is too long"));
            }
            return Ok(Measured::Part { end: at + 1, is_last: false });
        };
        let [kind, line @ .., b'\r'] = &rest[..length] else { return Err(malformed("a line has no end")) };
        at += length + 1;
        left -= 1;
        let values = match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => 0,
            b'$' | b'!' | b'=' => {
                if let Some(length) = number(line)? {
                    let end = at.checked_add(length + 2).ok_or_else(|| malformed("a text is too long"))?;
                    if end > bytes.len() {
                        return Ok(Measured::Part { end, is_last: left == 0 });
                    }
                    if bytes[end - 2..end] != *b"\r\n" {
                        return Err(malformed("a text has no end"));
                    }
                    if *kind == b'$' {
                        if let Some(text) = texts.get_mut(count) {
                            *text = at..end - 2;
                        }
                        count += 1;
                    }
                    at = end;
                }
                0
            }
            b'*' | b'~' | b'>' => number(line)?.unwrap_or_default(),
            b'%' => number(line)?.unwrap_or_default().saturating_mul(2),
            b'|' => number(line)?.unwrap_or_default().saturating_mul(2).saturating_add(1),
            _ => return Err(malformed("a value of an unknown kind")),
        };
        left = left.saturating_add(values);
        if left > MOST_VALUES {
            return Err(malformed("a frame has too many values"));
        }
    }
    Ok(Measured::Whole(Shape { end: at, texts, count }))
}

/// A length; none if it is -1, for a value that is null.
fn number(line: &[u8]) -> RedisResult<Option<usize>> {
    match line {
        b"-1" => Ok(None),
        [_, ..] if line.len() <= 12 && line.iter().all(u8::is_ascii_digit) => {
            Ok(Some(line.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))))
        }
        _ => Err(malformed("a length is no number")),
    }
}

fn malformed(why: &'static str) -> RedisError {
    (ErrorKind::Parse, "Redis sent something malformed", why.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis::PushKind;

    use super::*;

    /// Decodes all that arrives in these pieces.
    fn decoded(frames: &mut Frames, pieces: &[&[u8]]) -> RedisResult<Vec<Value>> {
        let mut values = Vec::new();
        for piece in pieces {
            frames.buffer().extend_from_slice(piece);
            while let Some(frame) = frames.next()? {
                values.push(as_value(&frame));
            }
        }
        Ok(values)
    }

    /// As redis-rs's parser returns the frame.
    fn as_value(frame: &Frame<'_>) -> Value {
        let text = |text: &[u8]| Value::BulkString(text.to_vec());
        let push = |kind, data| Value::Push { kind, data };
        match frame {
            Frame::Message { channel, payload } => push(PushKind::Message, vec![text(channel), text(payload)]),
            Frame::Matched { channel, payload } => push(PushKind::PMessage, vec![text(channel), text(payload)]),
            Frame::TooLong => Value::Nil,
            Frame::Other(value) => value.clone(),
        }
    }

    fn push(texts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = format!(">{}\r\n", texts.len()).into_bytes();
        for text in texts {
            bytes.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
            bytes.extend_from_slice(text);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    /// A frame that Redis may send.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let text = || prop::collection::vec(any::<u8>(), 0..40);
        let message = |kind: &'static [u8]| (text(), text()).prop_map(move |(a, b)| push(&[kind, &a, &b]));
        prop_oneof![
            message(b"message"),
            message(b"smessage"),
            (text(), text(), text()).prop_map(|(a, b, c)| push(&[b"pmessage", &a, &b, &c])),
            (text(), text()).prop_map(|(a, b)| push(&[b"message", &a, &b, b"more"])),
            text().prop_map(|name| {
                let mut bytes = push(&[b"subscribe", &name]);
                bytes[1] = b'3';
                bytes.extend_from_slice(b":7\r\n");
                bytes
            }),
            Just(b"-MOVED 5 127.0.0.1:7000\r\n".to_vec()),
            Just(b"%2\r\n+a\r\n*2\r\n:1\r\n$-1\r\n$1\r\nb\r\n_\r\n".to_vec()),
            Just(b"+OK\r\n".to_vec()),
            Just(b">3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n".to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn frames_are_those_of_the_library(
            sent in prop::collection::vec(frame(), 1..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let bytes = sent.concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let expected: Vec<_> = sent.iter().map(|frame| match parse_redis_value(frame).unwrap() {
                Value::Push { kind: PushKind::SMessage, data } => Value::Push { kind: PushKind::Message, data },
                Value::Push { kind: PushKind::PMessage, data } => {
                    Value::Push { kind: PushKind::PMessage, data: data[1..].to_vec() }
                }
                value => value,
            }).collect();
            prop_assert_eq!(decoded(&mut Frames::default(), &pieces).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(
            bytes in prop::collection::vec(prop::sample::select(&b">*%|$!=+-:_,#(~123490ae\r\n"[..]), 0..200),
            good in frame(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let _ = decoded(&mut Frames::default(), &[&bytes]);
            let mut odd = good;
            for (index, byte) in flips {
                let index = index.index(odd.len());
                odd[index] = byte;
            }
            let _ = decoded(&mut Frames::default(), &[&odd, &odd]);
        }

        #[test]
        fn a_long_message_is_skipped(length in 1_000_usize..3_000, piece in 1_usize..1_500) {
            let long = vec![b'x'; length];
            let bytes = [push(&[b"message", b"a", &long]), push(&[b"message", b"a", b"b"])].concat();
            let mut frames = Frames { longest: 1_000, ..Frames::default() };
            let pieces: Vec<_> = bytes.chunks(piece).collect();
            let values = decoded(&mut frames, &pieces).unwrap();
            prop_assert_eq!(values.len(), 2);
            // One that has arrived as a whole need not be skipped.
            prop_assert!(values[0] == Value::Nil || piece > length);
            prop_assert_eq!(&values[1], &parse_redis_value(&push(&[b"message", b"a", b"b"])).unwrap());
            prop_assert!(frames.buffer.capacity() < 8 * 1_500);
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let line = [b"-".to_vec(), vec![b'x'; LONGEST_LINE]].concat();
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b">-2\r\n",
            b">99999999999\r\n",
            b"*5000\r\n",
            b"$99999999999999999999\r\n",
            b"$999999999999\r\n",
            b"$1\r\nabc\r\n",
            b"\n",
            b"|1\r\n",
            b">1\r\n:1\r\n",
            &line,
        ] {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
            let outcome = decoded(&mut Frames::default(), &[bytes]);
            // A frame that has only begun is no error yet.
            assert!(outcome.is_err() || shown.starts_with('|'), "{shown}: {outcome:?}");
        }
    }
}
