//! openITCOCKPIT: its login check, and its clock.

use std::time::{Duration, SystemTime};

use bellwire_common::fetch::Answer;
use bellwire_common::settings::OpenItCockpit;
use bellwire_gateway::access::site as gateway;
use bellwire_gateway::access::verdict::Verdict;

use super::context::Context;
use super::finding::Finding;

const SITE: &str = "openitcockpit";
const CLOCK: &str = "clock";

const ANSWER_WITHIN: Duration = Duration::from_secs(4);

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
    let client = match gateway::client(site, ANSWER_WITHIN, 1) {
        Ok(client) => client,
        Err(error) => return vec![Finding::fail(SITE, format!("{origin}: {error}"))],
    };
    let before = SystemTime::now();
    match client.get_dated(&gateway::url(site), &[gateway::ACCEPT]).await {
        Err(error) => vec![Finding::fail(SITE, unreachable(origin, &error.to_string()))],
        Ok((answer, date)) => {
            let date = date.and_then(|date| httpdate::parse_http_date(&date).ok());
            let clock = date.map(|date| clock(origin, date, before, SystemTime::now()));
            std::iter::once(login(origin, &answer)).chain(clock).collect()
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

/// The answer to a question without a login, as the gateway judges it.
fn login(origin: &str, answer: &Answer) -> Finding {
    let status = answer.status;
    match Verdict::of(status, &answer.body, answer.location.as_deref()) {
        Verdict::No => Finding::ok(SITE, format!("{origin} checks logins: without one it answers {status}")),
        Verdict::Yes(user) => Finding::fail(
            SITE,
            format!(
                "{origin} takes us for user {user} without any cookie ({status}): something on the way logs in by itself, so \
                 that every tab would count as that user; ask it by another way"
            ),
        ),
        Verdict::Unclear | Verdict::Away => unclear(origin, status),
    }
}

/// An answer that says nothing of a login: the gateway refuses whoever gets it, and tells them to try again.
fn unclear(origin: &str, status: u16) -> Finding {
    match status {
        200 => Finding::fail(
            SITE,
            format!(
                "{origin} answers 200, but names no user: is it openITCOCKPIT, at this address, and no sign-on before it?"
            ),
        ),
        300..=399 => Finding::fail(
            SITE,
            format!(
                "{origin} redirects ({status}) elsewhere than to its login, which is not followed: openitcockpit-url must be \
                 the address that answers"
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
    fn an_answer_is_judged_as_the_gateway_judges_it() {
        let user = r#"{"user":{"id":7}}"#;
        for (status, body, location, level, words) in [
            (401, "", None, Level::Ok, "without one it answers 401"),
            (403, "", None, Level::Ok, "without one it answers 403"),
            (400, "", None, Level::Ok, "without one it answers 400"),
            (302, "", Some("/users/login?redirect=x"), Level::Ok, "without one it answers 302"),
            (302, "", Some("https://monitoring.example/"), Level::Fail, "redirects (302)"),
            (302, "", None, Level::Fail, "redirects (302)"),
            (200, user, None, Level::Fail, "user 7 without any cookie"),
            (200, "<html>log in</html>", None, Level::Fail, "names no user"),
            (404, "", None, Level::Fail, "no login check (404)"),
            (502, "", None, Level::Fail, "fails (502)"),
            (429, "", None, Level::Warn, "answers 429"),
        ] {
            let answer = Answer { status, body: body.into(), location: location.map(str::to_owned) };
            let finding = login("https://m", &answer);
            assert!(finding.level == level && finding.text.contains(words), "{finding}");
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
