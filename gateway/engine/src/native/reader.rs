//! The task that reads one WebSocket: a hand-written future, because an idle connection's memory is mostly this.
//!
//! Guarantees: it has no buffer of its own, but reads into its thread's; it reads for a bounded time before others run;
//! its end is the connection's end.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::tcp::OwnedReadHalf,
};

use super::wire::Wire;
use crate::CloseReason;

/// Bytes that are read at once.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    /// The thread's read buffer, taken out while it is used.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// See the module.
pub(super) struct Reader {
    socket: OwnedReadHalf,
    wire: Arc<Wire>,
}

impl Reader {
    /// Reads from `socket` in a task of its own.
    pub(super) fn start(socket: OwnedReadHalf, wire: &Arc<Wire>) {
        let reader = Self { socket, wire: Arc::clone(wire) };
        wire.shard.lifecycle.spawn(reader);
    }

    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<()> {
        loop {
            if self.wire.is_reading_stopped() {
                return Poll::Ready(());
            }
            let mut read = ReadBuf::new(buffer);
            match Pin::new(&mut self.socket).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
            let is_full = read.remaining() == 0;
            if self.wire.read(read.filled_mut()).is_break() {
                return Poll::Ready(());
            }
            if is_full {
                // There is more: others run first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

impl Future for Reader {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = BUFFER.take();
        buffer.resize(SCRATCH, 0);
        let read = self.read(cx, &mut buffer);
        BUFFER.set(buffer);
        read
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // If the reading was stopped, the connection is ended from elsewhere.
        if !self.wire.is_reading_stopped() {
            self.wire.abort(CloseReason::TransportError);
        }
    }
}
