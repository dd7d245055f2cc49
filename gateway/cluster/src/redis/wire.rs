//! A connection for subscriptions, without anything between it and the frames that Redis sends.
//!
//! redis-rs's connections assign answers to requests by their order, which an unsolicited `sunsubscribe` of a Redis
//! Cluster breaks. Here everything that arrives is a [`Frame`], and the caller finds out what it is about. Guarantees that
//! neither reading nor writing waits for the other, and that a cancelled call loses nothing.

use std::io;

use bytes::{Buf as _, BytesMut};
use redis::{Cmd, RedisResult};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};

use crate::redis::{
    frames::{Frame, Frames},
    stream::Stream,
};

/// Bytes of one read.
const READ: usize = 64 * 1024;

/// See the module.
pub(crate) struct Wire {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    frames: Frames,
    /// Commands that are not written yet.
    unsent: BytesMut,
    /// TLS may still hold a part of what was written.
    is_unflushed: bool,
}

impl Wire {
    /// Over a stream that is logged in with RESP3.
    pub(crate) fn new(stream: Stream) -> Self {
        let (reader, writer) = split(stream);
        Self { reader, writer, frames: Frames::default(), unsent: BytesMut::new(), is_unflushed: false }
    }

    /// Adds a command to those that [`Wire::transfer`] sends.
    pub(crate) fn push(&mut self, command: &Cmd) {
        self.unsent.extend_from_slice(&command.get_packed_command());
    }

    /// Whether all commands have been written.
    pub(crate) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The next frame that has arrived as a whole; call [`Wire::transfer`] when there is none.
    pub(crate) fn next(&mut self) -> RedisResult<Option<Frame<'_>>> {
        self.frames.next()
    }

    /// Waits until something was read or written.
    pub(crate) async fn transfer(&mut self) -> io::Result<()> {
        let Self { reader, writer, frames, unsent, is_unflushed } = self;
        let is_sending = !unsent.is_empty() || *is_unflushed;
        let buffer = frames.buffer();
        buffer.reserve(READ);
        tokio::select! {
            read = reader.read_buf(buffer) => match read? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            },
            sent = send(writer, unsent, is_unflushed), if is_sending => sent,
        }
    }
}

/// Writes a part of what is not written yet, or flushes. Waits at most once, so that a cancelled call has done nothing.
async fn send(writer: &mut WriteHalf<Stream>, unsent: &mut BytesMut, is_unflushed: &mut bool) -> io::Result<()> {
    if unsent.is_empty() {
        writer.flush().await?;
        *is_unflushed = false;
        return Ok(());
    }
    match writer.write(unsent).await? {
        0 => return Err(io::ErrorKind::WriteZero.into()),
        written => unsent.advance(written),
    }
    *is_unflushed = true;
    Ok(())
}
