//! Ports for the processes that tests start.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports which the kernel gives to outgoing connections, so that a port is still free when a process comes
/// back to it, and above those of [`crate::broker`].
const FIRST: u16 = 31_000;
const PORTS: u16 = 1_700;

/// An address on loopback that nobody listens on. No two calls in one process give the same until all were given.
///
/// # Panics
/// When all of them are in use.
#[must_use]
pub fn free() -> SocketAddr {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        // Test processes that run at the same time begin at different places.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        AtomicU16::new((seed % u64::from(PORTS)) as u16)
    });
    (0..PORTS)
        .map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + next.fetch_add(1, Ordering::Relaxed) % PORTS)))
        // Not by listening: a process that is being started at the same moment would inherit the socket.
        .find(|address| TcpStream::connect(address).is_err())
        .expect("a free port between 31000 and 32699")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_differ_and_are_free() {
        let (a, b) = (free(), free());
        assert_ne!(a, b);
        let held = std::net::TcpListener::bind(a).unwrap();
        assert_eq!(held.local_addr().unwrap(), a);
    }
}
