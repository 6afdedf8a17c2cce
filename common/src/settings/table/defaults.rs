//! Where nodes listen unless told otherwise, for whoever has to reach them as well.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Loopback {
    /// The address.
    pub address: SocketAddr,
    /// The same, spelled.
    pub text: &'static str,
}

macro_rules! loopback {
    ($port:literal) => {
        Loopback {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), $port),
            text: concat!("127.0.0.1:", $port),
        }
    };
}

/// Tabs, and of standalone notifications.
pub const TABS: Loopback = loopback!(8083);
/// Notifications, of ingest alone.
pub const INGEST: Loopback = loopback!(8084);
/// The admin server, but of ingest alone.
pub const ADMIN: Loopback = loopback!(9083);
/// The admin server of ingest alone.
pub const INGEST_ADMIN: Loopback = loopback!(9084);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_addresses() {
        for Loopback { address, text } in [TABS, INGEST, ADMIN, INGEST_ADMIN] {
            assert_eq!(address.to_string(), text);
        }
    }
}
