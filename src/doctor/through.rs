//! The public address: whether the proxy lets WebSockets through, and leaves them alone.

use std::time::Duration;

use tokio::time::Instant;

use bellwire_common::settings::Secret;

use super::finding::Finding;
use crate::dial::{DialError, Trust};
use crate::place::Place;
use crate::tab::{Tab, TabError};

const THROUGH: &str = "through";
const OPEN_WITHIN: Duration = Duration::from_secs(5);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Opens a tab there, and keeps it open for `idle` with nothing but the server's pings. `progress` is told of it.
pub(crate) async fn through(
    place: &Place,
    ca: Option<&str>,
    key: Option<&Secret>,
    idle: Duration,
    progress: impl Fn(String),
) -> Vec<Finding> {
    let Some(key) = key else {
        return vec![Finding::fail(
            THROUGH,
            "there is no shared key here to open a tab with; run it where the gateway's settings are",
        )];
    };
    let trust = place.tls.then(|| Trust::of(ca)).transpose();
    let trust = match trust {
        Ok(trust) => trust,
        Err(error) => return vec![Finding::fail(THROUGH, error)],
    };
    let started = Instant::now();
    let browser = format!("doctor-{}", std::process::id());
    let mut tab = match Tab::open(place, trust.as_ref(), key, &browser, started + OPEN_WITHIN).await {
        Ok(tab) => tab,
        Err(error) => return vec![Finding::fail(THROUGH, broken(place, &error))],
    };
    let mut findings = vec![Finding::ok(
        THROUGH,
        format!("{place} lets WebSockets through; a tab was greeted after {} ms", started.elapsed().as_millis()),
    )];
    if !idle.is_zero() {
        let stayed = stay(&mut tab, idle, progress).await;
        findings.push(stay_judged(place, idle, stayed));
    }
    tab.leave(None).await;
    findings
}

/// How long it stayed, and why no longer.
async fn stay(tab: &mut Tab, idle: Duration, progress: impl Fn(String)) -> Result<(), (Duration, TabError)> {
    let started = Instant::now();
    let until = started + idle;
    let mut next = started + PROGRESS_EVERY;
    loop {
        match tab.hear(until.min(next)).await {
            Ok(_) => {}
            Err(TabError::Late) if Instant::now() >= until => return Ok(()),
            Err(TabError::Late) => {
                progress(format!("{} of {} s", started.elapsed().as_secs(), idle.as_secs()));
                next += PROGRESS_EVERY;
            }
            Err(error) => return Err((started.elapsed(), error)),
        }
    }
}

fn stay_judged(place: &Place, idle: Duration, stayed: Result<(), (Duration, TabError)>) -> Finding {
    match stayed {
        Ok(()) => Finding::ok(
            THROUGH,
            format!("{place} left a quiet tab alone for {} s; the gateway says something every 25 s", idle.as_secs()),
        ),
        Err((after, error @ TabError::Closed(..))) => Finding::warn(
            THROUGH,
            format!("{place} {error} after {} s: the gateway ended it, not the proxy", after.as_secs()),
        ),
        Err((after, error)) => Finding::fail(
            THROUGH,
            format!(
                "{place} cut a quiet tab after {} s ({error}): raise the proxy's time for silence above 60 s (nginx: \
                 proxy_read_timeout, HAProxy: timeout tunnel, Apache: ProxyTimeout)",
                after.as_secs()
            ),
        ),
    }
}

fn broken(place: &Place, error: &TabError) -> String {
    let hint = match error {
        TabError::Dial(DialError::Refused { status: 401, .. }) => {
            "a gateway answers, but does not take this key: has it another one?"
        }
        TabError::Dial(DialError::Refused { status: 400 | 426, .. }) => {
            "the proxy does not pass on the handshake (nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, \
             proxy_set_header Connection upgrade)"
        }
        TabError::Dial(DialError::Refused { status: 404, .. }) => {
            "nobody takes WebSockets at this path: is it the one that the proxy passes on?"
        }
        TabError::Dial(DialError::Refused { status: 502..=504, .. }) => {
            "the proxy reaches no gateway: is its address in the proxy's configuration right, and does it run?"
        }
        TabError::Dial(DialError::NotWebSocket(_) | DialError::Refused { .. }) => "what answers there is no gateway",
        TabError::Dial(DialError::Tls(_)) => {
            "--through-ca-file names an authority of your own; the name in the address must be the certificate's"
        }
        TabError::Dial(_) => "is the address right?",
        _ => "the handshake came through, but what follows does not: does something on the way inspect or buffer it?",
    };
    format!("{place} {error}: {hint}")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn who_ended_it_matters() {
        let place = Place::parse("wss://m/p").unwrap();
        let idle = Duration::from_secs(70);
        assert_eq!(stay_judged(&place, idle, Ok(())).level, Level::Ok);
        let gone = stay_judged(&place, idle, Err((Duration::from_secs(60), TabError::Gone("it ended".into()))));
        assert!(gone.level == Level::Fail && gone.text.contains("after 60 s"), "{gone}");
        let closed = stay_judged(&place, idle, Err((Duration::from_secs(9), TabError::Closed(4000, "drain".into()))));
        assert!(closed.level == Level::Warn && closed.text.contains("4000 drain"), "{closed}");
    }

    #[test]
    fn a_broken_proxy_is_told_what_it_lacks() {
        let place = Place::parse("wss://m/p").unwrap();
        let refused = |status| TabError::Dial(DialError::Refused { status, body: String::new() });
        for (status, word) in
            [(401, "key"), (400, "Upgrade"), (404, "path"), (502, "reaches no gateway"), (200, "no gateway")]
        {
            assert!(broken(&place, &refused(status)).contains(word), "{status}");
        }
    }
}
