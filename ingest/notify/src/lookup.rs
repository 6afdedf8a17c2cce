//! From the host in an address to where it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Most places of one name that are tried; as many as ureq takes.
const PLACES_MAX: usize = 16;

/// Knows numbers and `localhost` itself; only for a name it starts a thread, because the system's lookup has no
/// deadline.
///
/// ureq's own resolver panics where the system gives no thread, as at the limit of the engine's processes: in the
/// storm in which alarms matter most the notification would be gone, spool or not.
#[derive(Debug, Default)]
pub(crate) struct Lookup;

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut places = self.empty();
        let known = own_answer(host);
        if known.is_empty() {
            let found = ask_system(host, port, timeout)?;
            found.into_iter().take(PLACES_MAX).for_each(|place| places.push(place));
        } else {
            known.into_iter().for_each(|ip| places.push(SocketAddr::new(ip, port)));
        }
        if places.is_empty() { Err(Error::HostNotFound) } else { Ok(places) }
    }
}

fn own_answer(host: &str) -> Vec<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().into_iter().collect()
}

fn ask_system(host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, Error> {
    let (answer, answered) = sync_channel(1);
    let name = host.to_owned();
    let ask = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody waits any more once the time is up.
        let _ = answer.send(found);
    };
    thread::Builder::new().spawn(ask).map_err(|error| {
        let what = format!("no thread to look up {host} ({error}); give its address as a number");
        Error::Io(io::Error::new(error.kind(), what))
    })?;
    match answered.recv_timeout(*timeout.after) {
        Ok(found) => Ok(found?),
        Err(RecvTimeoutError::Timeout) => Err(Error::Timeout(timeout.reason)),
        Err(RecvTimeoutError::Disconnected) => Err(Error::HostNotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_localhost_need_no_lookup() {
        assert_eq!(own_answer("127.0.0.2"), [IpAddr::from([127, 0, 0, 2])]);
        assert_eq!(own_answer("[::1]"), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert_eq!(own_answer("LocalHost").len(), 2);
        assert!(own_answer("monitor.example").is_empty());
    }
}
