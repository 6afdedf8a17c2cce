//! From a node's name to a socket, and how that socket is taken away from the library again.
//!
//! The library runs each connection in a thread of its own, which also connects. Nothing of the library ends that
//! thread while the kernel waits for an answer to its SYN (two minutes), and a frozen broker never ends it; so
//! connecting has a deadline here, and each connection that is given up has its socket shut.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// For a name to become a socket: all of its addresses together. The rest of the time is for TLS and the login.
const DIAL_DEADLINE: Duration = Duration::from_secs(2);

/// Resolves a name and tries its addresses in a random order: they are equal, and any of them may not answer.
pub(super) async fn dial<T>(
    host: &str,
    port: u16,
    connect: impl AsyncFn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let until = Instant::now() + DIAL_DEADLINE;
    let resolved = timeout_at(until, lookup_host((host, port))).await;
    let resolved = resolved.map_err(|_| no_answer(&format!("the name service for {host}")))??;
    let mut addresses: Vec<_> = resolved.collect();
    fastrand::shuffle(&mut addresses);
    first_of(&addresses, until, connect).await
}

/// The first address that answers, each within an even part of the time that is left.
async fn first_of<T>(
    addresses: &[SocketAddr],
    until: Instant,
    connect: impl AsyncFn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failure = io::Error::other("the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let part = (until - Instant::now()) / (addresses.len() - tried) as u32;
        failure = match timeout(part, connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => no_answer(&address.to_string()),
        };
    }
    Err(failure)
}

fn no_answer(who: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {who}"))
}

/// A connection's socket, once there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Socket {
    stream: Arc<Mutex<Option<TcpStream>>>,
    shut: CancellationToken,
}

impl Socket {
    /// Remembers the socket.
    ///
    /// # Errors
    /// It was shut before it was there.
    pub(super) fn hold(&self, stream: &impl AsFd) -> io::Result<()> {
        let stream = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        stream.set_nodelay(true)?;
        let mut held = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shut.is_cancelled() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        *held = Some(stream);
        Ok(())
    }

    /// Ends the connection, or what is under way to become one.
    pub(super) fn shut(&self) {
        self.shut.cancel();
        if let Some(stream) = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Returns when the socket was shut.
    pub(super) async fn is_shut(&self) {
        self.shut.cancelled().await;
    }
}

/// Shuts a socket unless it is kept: whatever ends the attempt to connect, its thread must end too.
pub(super) struct Attempt(Option<Socket>);

impl Attempt {
    pub(super) fn new(socket: Socket) -> Self {
        Self(Some(socket))
    }

    pub(super) fn keep(mut self) -> Option<Socket> {
        self.0.take()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.shut();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A listener that accepts nothing and whose queue is full, so that the kernel answers no SYN.
    async fn silent() -> (TcpListener, Vec<tokio::net::TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(listener.local_addr().unwrap())).await
        {
            waiting.push(stream.unwrap());
        }
        (listener, waiting)
    }

    async fn connect(address: SocketAddr) -> io::Result<SocketAddr> {
        tokio::net::TcpStream::connect(address).await?.peer_addr()
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let (silent, _waiting) = silent().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let good = good.local_addr().unwrap();
        let until = Instant::now() + DIAL_DEADLINE;
        let addresses = [closed, silent.local_addr().unwrap(), good];
        assert_eq!(first_of(&addresses, until, connect).await.unwrap(), good);
        assert!(Instant::now() < until);

        let since = Instant::now();
        let until = since + Duration::from_millis(300);
        let error = first_of(&[silent.local_addr().unwrap()], until, connect).await.unwrap_err();
        assert!(error.to_string().contains(&silent.local_addr().unwrap().to_string()), "{error}");
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn an_attempt_that_is_dropped_shuts_its_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (socket, stream) = (Socket::default(), TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        socket.hold(&stream).unwrap();
        drop(Attempt::new(socket.clone()));
        socket.is_shut().await;
        socket.hold(&stream).unwrap_err();
        assert_eq!(io::Read::read(&mut &stream, &mut [0]).unwrap(), 0);
    }
}
