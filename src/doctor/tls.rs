//! The certificate of the listeners, its key, and the authorities of senders.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bellwire_common::http::{CERTIFICATE_ENDS_SOON, Tls};

use super::context::Context;
use super::finding::Finding;

const TLS: &str = "tls";
const DAY_SECONDS: u64 = 24 * 3600;

/// Whether the files can be used, and for how long.
pub(crate) fn tls(context: &Context) -> Vec<Finding> {
    let Some(files) = &context.node.tls else {
        return vec![Finding::ok(TLS, "none: the listeners speak http; a proxy in front may speak https")];
    };
    let client_ca = context.intake.as_ref().and_then(|intake| intake.client_ca_file.as_deref());
    let tls = match Tls::open(files, client_ca) {
        Ok((tls, _)) => tls,
        Err(error) => return vec![Finding::fail(TLS, error.to_string())],
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut findings = vec![end(&files.cert.display().to_string(), tls.not_after(), now)];
    if let Some(path) = client_ca {
        findings.push(Finding::ok(TLS, format!("ingest-client-ca-file {} can be used", path.display())));
    }
    findings
}

fn end(path: &str, not_after: Option<Duration>, now: Duration) -> Finding {
    let so = format!("tls-cert-file {path} belongs to tls-key-file");
    let Some(not_after) = not_after else {
        return Finding::warn(TLS, format!("{so}, but when it ends cannot be read"));
    };
    let days = |time: Duration| time.as_secs() / DAY_SECONDS;
    match not_after.checked_sub(now) {
        None => Finding::fail(
            TLS,
            format!(
                "{so}, but ended {} days ago: clients refuse it; renew it, the node takes the new one by itself",
                days(now - not_after)
            ),
        ),
        Some(left) if left < CERTIFICATE_ENDS_SOON => Finding::warn(
            TLS,
            format!("{so}, and ends in {} days: renew it, the node takes the new one by itself", days(left)),
        ),
        Some(left) => Finding::ok(TLS, format!("{so}, and ends in {} days", days(left))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_certificate_is_renewed_in_time() {
        let day = Duration::from_secs(DAY_SECONDS);
        for (not_after, level, words) in [
            (Some(16 * day), Level::Ok, "ends in 14 days"),
            (Some(15 * day), Level::Warn, "ends in 13 days"),
            (Some(2 * day), Level::Warn, "ends in 0 days"),
            (Some(Duration::ZERO), Level::Fail, "ended 1 days ago"),
            (None, Level::Warn, "cannot be read"),
        ] {
            let finding = end("/c", not_after, day + Duration::from_nanos(1));
            assert!(finding.level == level && finding.text.contains(words), "{finding}");
        }
    }
}
