//! Who is at the other end, where proxies stand between. Pure.

use std::net::IpAddr;

pub(crate) use bellwire_common::network::network;
use ipnet::IpNet;

/// The address that a connection's limits go by; none where only a proxy of ours is known.
///
/// `forwarded` are the values of `X-Forwarded-For` in their order. What stands at its right end was written by the
/// nearest proxy, so it is read from there as long as a trusted one wrote it; what a client writes itself stands further
/// left and is not believed.
pub(crate) fn client<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(&peer) {
        return Some(peer);
    }
    // Bytes, because a client may write any: what stands left of a comma must not spoil what stands right of it.
    for hop in forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b',')).take(HOPS_MAX) {
        let address = std::str::from_utf8(hop).ok()?.trim().parse::<IpAddr>().ok()?.to_canonical();
        if !is_trusted(&address) {
            return Some(address);
        }
    }
    None
}

/// More proxies than anybody has in a row.
const HOPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str]) -> Option<String> {
        let trusted = ["127.0.0.0/8", "::1/128", "10.0.0.0/8"].map(|net| net.parse().unwrap());
        client(peer.parse().unwrap(), forwarded.iter().map(|value| value.as_bytes()), &trusted)
            .map(|address| address.to_string())
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_writes() {
        assert_eq!(found("192.0.2.7", &["198.51.100.1"]).unwrap(), "192.0.2.7");
        assert_eq!(found("::ffff:192.0.2.7", &[]).unwrap(), "192.0.2.7");
    }

    #[test]
    fn the_nearest_stranger_is_the_client() {
        assert_eq!(found("127.0.0.1", &["192.0.2.7"]).unwrap(), "192.0.2.7");
        assert_eq!(found("127.0.0.1", &["6.6.6.6, 192.0.2.7, 10.1.2.3"]).unwrap(), "192.0.2.7");
        assert_eq!(found("10.0.0.1", &["6.6.6.6", "192.0.2.7 ", " ::1"]).unwrap(), "192.0.2.7");
        assert_eq!(found("::1", &["2001:db8::1"]).unwrap(), "2001:db8::1");
    }

    #[test]
    fn where_a_proxy_says_nothing_or_nonsense_nobody_is_known() {
        for forwarded in [&[][..], &["unknown"], &[""], &["10.0.0.9"], &["192.0.2.7, x"], &["[::1]:80"]] {
            assert_eq!(found("127.0.0.1", forwarded), None, "{forwarded:?}");
        }
        assert_eq!(found("127.0.0.1", &[&"10.0.0.1,".repeat(100_000)]), None);
    }

    #[test]
    fn bytes_of_a_client_hide_nobody() {
        let trusted = ["127.0.0.0/8".parse().unwrap()];
        let forwarded = [&b"\xff, 192.0.2.7"[..]];
        let found = client("127.0.0.1".parse().unwrap(), forwarded.iter().copied(), &trusted);
        assert_eq!(found, Some("192.0.2.7".parse().unwrap()));
    }
}
