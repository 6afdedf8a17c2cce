//! The sockets on which connections come in: opened here, or inherited from who started this process.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tracing::info;

use crate::settings::{Invalid, Problem};

/// Connections that the kernel keeps waiting to be accepted: a reconnect storm queues instead of failing. The queue of an
/// inherited socket is as long as who opened it made it.
const BACKLOG: u32 = 4096;

/// What the kernel holds for a connection that does not take it, at most (Linux doubles it for its own needs): a slow
/// connection costs no more memory, and a ping does not wait behind megabytes. Enough for 1 MB/s over 100 ms.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Of that, what may wait to be sent. The kernel says that it takes more as soon as less waits: else a third of the buffer
/// must drain first, and a link of some kilobytes a second would seem to stand still.
const UNSENT_BYTES: u32 = 32 * 1024;

/// What the kernel holds of a connection that we do not read yet, at most (doubled as well). A tab that floods is read
/// no faster than it may send; left alone, Linux would let megabytes pile up for each of them. Enough for 600 kB/s over
/// 100 ms.
const RECV_BUFFER_BYTES: usize = 64 * 1024;

/// An address that nobody else can take any more, on which nobody is served yet. Connections are refused on it, or
/// wait if the socket was inherited.
#[derive(Debug)]
pub struct Reserved {
    socket: Socket,
    address: SocketAddr,
}

#[derive(Debug)]
enum Socket {
    Bound(TcpSocket),
    Inherited(StdListener),
}

/// Takes `address`, so that a process can fail at its start and not when it has become ready. The error names
/// the address.
pub fn reserve(address: SocketAddr) -> io::Result<Reserved> {
    let take = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        bound_buffers(&socket)?;
        socket.bind(address)?;
        Ok(Socket::Bound(socket))
    };
    take().map(|socket| Reserved { socket, address }).map_err(|error| cannot(address, &error))
}

/// Takes `address` and listens on it. The error names the address.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    reserve(address)?.listen()
}

/// Inherited by the connections that are accepted.
fn bound_buffers(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECV_BUFFER_BYTES)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

fn cannot(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}

impl Reserved {
    /// Lets connections in; they wait until [`serve`](super::serve) takes them.
    pub fn listen(self) -> io::Result<TcpListener> {
        let listener = match self.socket {
            Socket::Bound(socket) => socket.listen(BACKLOG),
            Socket::Inherited(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
        };
        listener.map_err(|error| cannot(self.address, &error))
    }
}

/// What this process listens on: sockets that it inherited, and such that it opens itself.
#[derive(Debug, Default)]
pub struct Listeners {
    inherited: Vec<(SocketAddr, StdListener)>,
}

impl Listeners {
    /// Takes over the sockets that systemd or another service manager has opened for this process (`LISTEN_FDS`), for
    /// the settings that name their addresses. A socket that no setting names is refused: connections would wait on it
    /// for ever. To be called before there are threads, because it takes the variables out of the environment.
    pub fn inherit(settings: &[(&str, SocketAddr)]) -> Result<Self, Invalid> {
        let mut given = ListenFd::from_env();
        let mut listeners = Self::default();
        let mut problems = Vec::new();
        for index in 0..given.len() {
            let taken = given.take_tcp_listener(index).and_then(|socket| {
                let socket = socket.ok_or_else(|| io::Error::other("it was taken already"))?;
                Ok((socket.local_addr()?, socket))
            });
            let added = match taken {
                Ok((address, socket)) => listeners.add(address, socket, settings),
                Err(error) => Err(format!("inherited socket {index} is of no use: {error}; {WHAT_IS_TAKEN}")),
            };
            problems.extend(added.err().map(problem));
        }
        if problems.is_empty() { Ok(listeners) } else { Err(Invalid(problems)) }
    }

    fn add(&mut self, address: SocketAddr, socket: StdListener, settings: &[(&str, SocketAddr)]) -> Result<(), String> {
        if !settings.iter().any(|(_, wanted)| *wanted == address) {
            let wanted: Vec<_> = settings.iter().map(|(name, wanted)| format!("{name}={wanted}")).collect();
            let wanted = wanted.join(", ");
            return Err(format!(
                "the inherited socket listens on {address}, which is none of {wanted}; give one of these settings the \
                 address {address}, or the socket (systemd: ListenStream) one of their addresses"
            ));
        }
        if self.inherited.iter().any(|(other, _)| *other == address) {
            return Err(format!("two inherited sockets listen on {address}; pass one"));
        }
        if !SockRef::from(&socket).is_listener().is_ok_and(|listens| listens) {
            return Err(format!("the inherited socket on {address} does not listen; {WHAT_IS_TAKEN}"));
        }
        self.inherited.push((address, socket));
        Ok(())
    }

    /// As [`reserve`], with the inherited socket if there is one for `address`.
    pub fn reserve(&mut self, address: SocketAddr) -> io::Result<Reserved> {
        let Some(index) = self.inherited.iter().position(|(inherited, _)| *inherited == address) else {
            return reserve(address);
        };
        let (_, socket) = self.inherited.swap_remove(index);
        bound_buffers(&socket).map_err(|error| cannot(address, &error))?;
        info!(%address, "inherited a listening socket");
        Ok(Reserved { socket: Socket::Inherited(socket), address })
    }
}

const WHAT_IS_TAKEN: &str = "pass TCP sockets that listen (systemd: ListenStream with IP:PORT, Accept=no)";

fn problem(message: String) -> Problem {
    Problem { setting: "LISTEN_FDS".into(), source_name: "environment".into(), message }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const LOOPBACK: &str = "127.0.0.1:0";

    fn open() -> (SocketAddr, StdListener) {
        let socket = StdListener::bind(LOOPBACK).unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let taken = bind(LOOPBACK.parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = reserve(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn the_kernels_buffers_are_bounded_whoever_opened_the_socket() {
        let (address, socket) = open();
        let mut listeners = Listeners::default();
        listeners.add(address, socket, &[("listen", address)]).unwrap();
        for reserved in [listeners.reserve(address).unwrap(), reserve(LOOPBACK.parse().unwrap()).unwrap()] {
            let listener = reserved.listen().unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            let accepted = SockRef::from(&accepted);
            assert_eq!(accepted.send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES);
            assert_eq!(accepted.recv_buffer_size().unwrap(), 2 * RECV_BUFFER_BYTES);
            assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
        }
    }

    #[tokio::test]
    async fn who_came_before_an_inherited_socket_is_served_has_waited() {
        let (address, socket) = open();
        let supervisors = socket.try_clone().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut listeners = Listeners::default();
        listeners.add(address, socket, &[("admin-listen", open().0), ("listen", address)]).unwrap();
        let listener = listeners.reserve(address).unwrap().listen().unwrap();
        listener.accept().await.unwrap().0.write_all(b"served").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "served");
        // Between two processes nobody is refused.
        drop(listener);
        TcpStream::connect(address).await.unwrap();
        drop(supervisors);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[test]
    fn what_nobody_would_serve_is_refused_with_both_addresses() {
        let ((here, socket), (elsewhere, _)) = (open(), open());
        let again = socket.try_clone().unwrap();
        let mut listeners = Listeners::default();
        let error = listeners.add(here, socket, &[("listen", elsewhere)]).unwrap_err();
        for part in [here.to_string(), format!("listen={elsewhere}"), "ListenStream".into()] {
            assert!(error.contains(&part), "{error}");
        }
        let twice = again.try_clone().unwrap();
        listeners.add(here, again, &[("listen", here)]).unwrap();
        let error = listeners.add(here, twice, &[("listen", here)]).unwrap_err();
        assert!(error.contains("two inherited sockets"), "{error}");
    }

    #[test]
    fn a_connection_is_no_listener() {
        let (address, listener) = open();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let connection = StdListener::from(std::os::fd::OwnedFd::from(listener.accept().unwrap().0));
        let error = Listeners::default().add(address, connection, &[("listen", address)]).unwrap_err();
        assert!(error.contains("does not listen") && error.contains("Accept=no"), "{error}");
    }
}
