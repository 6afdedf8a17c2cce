//! The bytes of a connection as they come and go: counted, and not waited for without end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What is known of a connection's bytes; each request carries it as an extension.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    received: AtomicU64,
    taken_over: AtomicBool,
    stuck: AtomicBool,
}

impl Traffic {
    /// Bytes that were read from the connection so far, also after its upgrade.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// After its upgrade: whoever has the connection now has a rule of its own for writes that make no progress.
    pub fn take_over(&self) {
        self.0.taken_over.store(true, Ordering::Relaxed);
    }

    /// Whether the connection ended because a write made no progress for too long.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.0.stuck.load(Ordering::Relaxed)
    }
}

/// A connection. hyper waits without end for answers to be taken, with no wait for a request head that could give way:
/// who sends many requests at once and reads no answer would keep its place for ever.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    pub(super) traffic: Traffic,
    /// So long may a write make no progress.
    pub(super) write_timeout: Duration,
    /// The write that waits; none while the connection takes what it is given.
    pub(super) stuck: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() || self.traffic.0.taken_over.load(Ordering::Relaxed) {
            self.stuck = None;
            return written;
        }
        let write_timeout = self.write_timeout;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        stuck.as_mut().poll(cx).map(|()| {
            self.traffic.0.stuck.store(true, Ordering::Relaxed);
            Err(io::Error::from(io::ErrorKind::TimedOut))
        })
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.traffic.0.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
