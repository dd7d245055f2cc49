//! Joins frames into messages. Pure.
//!
//! Guarantees: the payload of a frame that is not whole is unmasked and appended to its message as it arrives, so each
//! byte is copied at most once, apart from the buffer's growth; a limit or a rule about the order of frames is checked
//! as soon as the frame's header is there, and a text as its bytes arrive. See the [module above](super) for the rest.

use std::{mem, ops::ControlFlow, str};

use super::{
    Message, Violation,
    frames::{Frame, Opcode, PartialHeader},
};

/// The most frames of one message. Empty ones count too: no limit in bytes would stop a client that sends only those.
pub(super) const MOST_FRAGMENTS: u16 = 4_096;

/// The state between two reads: bytes of a frame that is not complete, and fragments of a message that is not.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    header: PartialHeader,
    /// The frame whose payload is not complete.
    frame: Option<Frame>,
    message: Fragments,
    /// The bytes that arrived of a control frame, which may come between the fragments of a message.
    control: Vec<u8>,
    /// Nothing is passed on any more.
    ended: bool,
}

/// The message whose last byte has not arrived.
#[derive(Debug, Default)]
struct Fragments {
    /// Frames of the message so far; 0 between two messages.
    count: u16,
    is_text: bool,
    payload: Vec<u8>,
    /// Bytes at the front of the payload that are known to be valid UTF-8.
    valid: usize,
}

impl Incoming {
    /// Takes bytes that were just read, and passes on each whole message and control frame in order.
    ///
    /// The bytes are unmasked in place. A message of more than `max` bytes is refused. `Break` means that the
    /// connection ends: `on` returned it, or the client sent a close frame. Then, and after an error, the rest of the
    /// bytes is dropped, and later calls do nothing.
    pub(crate) fn read(
        &mut self,
        bytes: &mut [u8],
        max: usize,
        on: &mut dyn FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        // Set in advance, so that a panic in `on` ends the stream too: the rest of the bytes is lost then.
        if mem::replace(&mut self.ended, true) {
            return Ok(ControlFlow::Break(()));
        }
        let flow = self.process(bytes, max, on);
        match flow {
            Ok(ControlFlow::Continue(())) => self.ended = false,
            Ok(ControlFlow::Break(())) | Err(_) => *self = Self { ended: true, ..Self::default() },
        }
        flow
    }

    /// Nothing is held between reads: the owner may drop it, and read on with a new one. False after the end.
    pub(crate) fn is_empty(&self) -> bool {
        self.header.is_empty() && self.frame.is_none() && self.message.count == 0 && !self.ended
    }

    /// Bytes of memory that it holds besides itself, for a limit on all partial messages together: at most twice the
    /// bytes that arrived of the message and of a control frame.
    pub(crate) fn held(&self) -> usize {
        self.message.payload.capacity() + self.control.capacity()
    }

    fn process(
        &mut self,
        mut bytes: &mut [u8],
        max: usize,
        on: &mut dyn FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let Some(frame) = self.header.take(&mut bytes)? else { return Ok(ControlFlow::Continue(())) };
                    if !frame.opcode.is_control() {
                        self.message.begin_frame(&frame, max)?;
                    }
                    frame
                }
            };
            let here = frame.left.min(bytes.len());
            let (payload, rest) = mem::take(&mut bytes).split_at_mut(here);
            bytes = rest;
            frame.unmask(payload);
            let is_whole = frame.left == 0;
            if is_whole && frame.is_final {
                if self.pass_on(frame.opcode, payload, on)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                continue;
            }
            match frame.opcode.is_control() {
                true => append(&mut self.control, payload, &frame),
                false => self.message.append(payload, &frame)?,
            }
            if !is_whole {
                self.frame = Some(frame);
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// Passes on the message or control frame that ends with these bytes.
    fn pass_on(
        &mut self,
        opcode: Opcode,
        last: &[u8],
        on: &mut dyn FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let (mut held, is_text) = match opcode.is_control() {
            true => (mem::take(&mut self.control), false),
            false => {
                let message = mem::take(&mut self.message);
                (message.payload, message.is_text)
            }
        };
        let payload = if held.is_empty() {
            last
        } else {
            held.reserve_exact(last.len());
            held.extend_from_slice(last);
            &held
        };
        let message = match opcode {
            Opcode::Ping => Message::Ping(payload),
            Opcode::Pong => Message::Pong,
            Opcode::Close => Message::Close(status_code(payload)?),
            _ if is_text => Message::Text(str::from_utf8(payload).map_err(|_| Violation::NotUtf8)?),
            _ => Message::Binary(payload),
        };
        match on(message) {
            ControlFlow::Continue(()) if opcode != Opcode::Close => Ok(ControlFlow::Continue(())),
            _ => Ok(ControlFlow::Break(())),
        }
    }
}

impl Fragments {
    /// A data frame begins: checks that it may come now, and that the message may be this long.
    fn begin_frame(&mut self, frame: &Frame, max: usize) -> Result<(), Violation> {
        let continues = frame.opcode == Opcode::Continuation;
        if continues != (self.count > 0) {
            return Err(Violation::Protocol);
        }
        if frame.left > max.saturating_sub(self.payload.len()) || self.count == MOST_FRAGMENTS {
            return Err(Violation::TooLong);
        }
        self.count += 1;
        if !continues {
            self.is_text = frame.opcode == Opcode::Text;
        }
        Ok(())
    }

    /// Appends unmasked bytes of this frame. Refuses a text as soon as no later bytes can make it valid.
    fn append(&mut self, bytes: &[u8], frame: &Frame) -> Result<(), Violation> {
        append(&mut self.payload, bytes, frame);
        if self.is_text {
            // At most the 3 bytes of a split character are checked again.
            self.valid += match str::from_utf8(&self.payload[self.valid..]) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(Violation::NotUtf8),
            };
        }
        Ok(())
    }
}

/// Appends bytes of this frame to the payload that is collected. The capacity doubles, so that the work is linear in
/// the bytes even if they come one by one; but it does not pass the end of the last frame.
fn append(payload: &mut Vec<u8>, bytes: &[u8], frame: &Frame) {
    let needed = payload.len() + bytes.len();
    if needed > payload.capacity() {
        let most = if frame.is_final { needed.saturating_add(frame.left) } else { usize::MAX };
        let capacity = payload.capacity().saturating_mul(2).min(most).max(needed);
        payload.reserve_exact(capacity - payload.len());
    }
    payload.extend_from_slice(bytes);
}

/// The status code in a close frame's payload. The reason behind it is checked, and not passed on.
fn status_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Protocol) };
    };
    let code = u16::from_be_bytes(*code);
    // Other codes are reserved, or describe a connection that ended without a close frame.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol);
    }
    str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    Ok(Some(code))
}
