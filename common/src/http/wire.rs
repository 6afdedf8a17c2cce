//! The bytes of a connection as they come and go: counted, and not waited for without end.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

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
    /// Bytes that were read from the connection so far, also after its upgrade; without what TLS adds.
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

/// A connection as hyper and whoever upgrades it read and write it.
pub(super) struct Wire {
    pub(super) stream: Stream,
    pub(super) traffic: Traffic,
}

/// What carries the bytes.
pub(super) enum Stream {
    Plain(Timed),
    Tls(Box<TlsStream<Timed>>),
}

/// A TCP connection. hyper waits without end for answers to be taken, with no wait for a request head that could give way:
/// who sends many requests at once and reads no answer would keep its place for ever. With TLS on top it is still TCP that
/// says whether there is progress: what TLS has taken is not on its way yet.
pub(super) struct Timed {
    pub(super) stream: TcpStream,
    pub(super) traffic: Traffic,
    /// So long may a write make no progress.
    pub(super) write_timeout: Duration,
    /// The write that waits; none while the connection takes what it is given.
    pub(super) stuck: Option<Pin<Box<Sleep>>>,
}

// === impl Wire ===

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf).map(|read| match read {
                // Browsers end TLS without a word. HTTP and WebSocket say themselves where a message ends.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                read => read,
            }),
        };
        self.traffic.0.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Drop for Wire {
    /// Whoever has taken over a connection may just drop it. TLS still says that this is its end, if that can be said
    /// without waiting.
    fn drop(&mut self) {
        let Stream::Tls(stream) = &mut self.stream else { return };
        let (wire, connection) = stream.get_mut();
        connection.send_close_notify();
        while connection.wants_write() && connection.write_tls(&mut AtOnce(&wire.stream)).is_ok_and(|n| n > 0) {}
    }
}

/// Writes what the kernel takes without waiting.
struct AtOnce<'a>(&'a TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Timed ===

impl Timed {
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

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Timed {
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
