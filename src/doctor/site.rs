//! openITCOCKPIT: its login check, and its clock.

use std::time::{Duration, SystemTime};

use bellwire_common::fetch::{Client, Terms};
use bellwire_common::settings::OpenItCockpit;

use super::context::Context;
use super::finding::Finding;

const SITE: &str = "openitcockpit";
const CLOCK: &str = "clock";

const PATH: &str = "/angular/push_configuration.json?angular=true&includeUser=true";
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// What a date in whole seconds, and the time of an answer, cannot tell apart from a right clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Whether logins can be checked there, and whether the clocks agree.
pub(crate) async fn site(context: &Context) -> Vec<Finding> {
    let Some((_, access)) = &context.tabs else { return Vec::new() };
    match &access.openitcockpit {
        None => vec![Finding::ok(SITE, "not set: no login is checked there")],
        Some(site) => ask(site).await,
    }
}

async fn ask(site: &OpenItCockpit) -> Vec<Finding> {
    let origin = &site.origin;
    let terms =
        Terms { timeout: ANSWER_WITHIN, concurrency: 1, answer_bytes_max: ANSWER_BYTES_MAX, ca: site.ca.clone() };
    let client = match Client::try_new(&terms) {
        Ok(client) => client,
        Err(error) => return vec![Finding::fail(SITE, format!("{origin}: {error}"))],
    };
    let before = SystemTime::now();
    match client.get_dated(&format!("{origin}{PATH}"), &[("accept", b"application/json")]).await {
        Err(error) => vec![Finding::fail(SITE, unreachable(origin, &error.to_string()))],
        Ok((answer, date)) => {
            let date = date.and_then(|date| httpdate::parse_http_date(&date).ok());
            let clock = date.map(|date| clock(origin, date, before, SystemTime::now()));
            std::iter::once(login(origin, answer.status)).chain(clock).collect()
        }
    }
}

fn unreachable(origin: &str, error: &str) -> String {
    let is_trust = ["certificate", "UnknownIssuer"].iter().any(|word| error.contains(word));
    let hint = if is_trust {
        "openitcockpit-ca-file names the authority that signed its certificate, and openitcockpit-url must have the name in it"
    } else {
        "is the address right, and does a firewall let us through?"
    };
    format!("{origin}: {error}; {hint}. While it does not answer, session-check decides who gets in")
}

/// The answer to a question without a login.
fn login(origin: &str, status: u16) -> Finding {
    match status {
        401 => Finding::ok(SITE, format!("{origin} checks logins: without one it answers 401")),
        200 => Finding::fail(
            SITE,
            format!(
                "{origin} takes us for a logged-in user without any cookie (200): something on the way logs in by itself, so \
                 that every tab would count as that user; ask it by another way"
            ),
        ),
        301..=308 => Finding::fail(
            SITE,
            format!(
                "{origin} redirects ({status}), which is not followed: openitcockpit-url must be the address that answers"
            ),
        ),
        404 | 405 => Finding::fail(
            SITE,
            format!("{origin} has no login check ({status}): is it openITCOCKPIT, at this address?"),
        ),
        500.. => Finding::fail(
            SITE,
            format!("{origin} fails ({status}): look at its own logs; no new tab gets in meanwhile"),
        ),
        _ => Finding::warn(SITE, format!("{origin} answers {status} where 401 was expected")),
    }
}

/// Whether a date, made between the two times, is that of a clock that agrees with ours.
pub(super) fn clock(whose: &str, date: SystemTime, before: SystemTime, after: SystemTime) -> Finding {
    let behind = before.duration_since(date + Duration::from_secs(1)).unwrap_or_default();
    let ahead = date.duration_since(after).unwrap_or_default();
    let (off, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if off <= CLOCK_TOLERANCE {
        return Finding::ok(CLOCK, format!("that of {whose} agrees with this machine's"));
    }
    Finding::warn(
        CLOCK,
        format!(
            "that of {whose} is {} s {word} this machine's: notifications expire by the clock; let both follow NTP (timedatectl)",
            off.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn only_a_refusal_is_good() {
        for (status, level) in [
            (401, Level::Ok),
            (200, Level::Fail),
            (302, Level::Fail),
            (404, Level::Fail),
            (502, Level::Fail),
            (403, Level::Warn),
        ] {
            assert_eq!(login("https://m", status).level, level, "{status}");
        }
        assert!(unreachable("https://m", "invalid peer certificate: UnknownIssuer").contains("openitcockpit-ca-file"));
        assert!(unreachable("https://m", "Connection refused").contains("firewall"));
    }

    #[test]
    fn a_clock_may_be_off_by_what_cannot_be_measured() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        for (date, level) in [
            (now - second, Level::Ok),
            (now - 3 * second, Level::Ok),
            (now + 2 * second, Level::Ok),
            (now - 4 * second, Level::Warn),
            (now + 3 * second, Level::Warn),
        ] {
            assert_eq!(clock("x", date, now, now).level, level, "{date:?}");
        }
        assert!(clock("x", now + 60 * second, now, now).text.contains("60 s ahead of"));
        assert!(clock("x", now - 61 * second, now, now).text.contains("60 s behind"));
    }
}
