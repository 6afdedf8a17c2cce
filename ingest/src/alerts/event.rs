//! One alert as a notification.

use std::fmt::Write;

use bellwire_common::ids::{NotificationId, UnixMillis};
use bellwire_common::notification::limits::{
    BODY_SHOWN_BYTES_MAX, Lines, OBJECT_ID_BYTES_MAX, TITLE_SHOWN_BYTES_MAX, URL_BYTES_MAX, is_link, shown,
};
use bellwire_common::notification::{Draft, ObjectDraft};

use crate::id;

use super::payload::{Alert, Payload, text};
use super::time;

/// The same event told again is the same notification until it is so old, and another one each time that it has become
/// older by as much: a repeat (`repeat_interval`) is meant to be seen, a sender's retry and the copies of several
/// Alertmanagers are not. Two of these on both sides of such an age are shown twice, the second in the first one's place:
/// nothing that they hold tells them from a repeat.
pub const SHOWN_AGAIN_AFTER_MS: u64 = 10 * 60 * 1000;

/// Labels that may say where it is; the first that does counts.
const HOST_LABELS: [&str; 5] = ["instance", "host", "hostname", "node", "job"];

/// Names what no label names.
const NAMELESS: &str = "alert";

/// States of services.
const OK: i64 = 0;
const WARNING: i64 = 1;
const CRITICAL: i64 = 2;
const UNKNOWN: i64 = 3;

/// What is told of an alert, to whomever.
#[derive(Debug)]
pub(super) struct Event<'a> {
    payload: &'a Payload<'a>,
    alert: &'a Alert<'a>,
    is_resolved: bool,
    /// When it began or ended, if the sender knows.
    at: Option<UnixMillis>,
    now: UnixMillis,
    id: NotificationId,
}

impl<'a> Event<'a> {
    pub(super) fn of(payload: &'a Payload<'_>, alert: &'a Alert<'_>, now: UnixMillis) -> Self {
        let status = [&alert.status, &payload.status].map(text).into_iter().find(|status| !status.is_empty());
        let is_resolved = status.is_some_and(|status| status.eq_ignore_ascii_case("resolved"));
        let at = time::parse(text(if is_resolved { &alert.ends_at } else { &alert.starts_at }));
        let id = identify(alert, is_resolved, at, now);
        Self { payload, alert, is_resolved, at, now, id }
    }

    /// Of this event, until it is told again.
    pub(super) fn id(&self) -> NotificationId {
        self.id.clone()
    }

    /// The notification for `user`, which also says how many alerts are missing.
    pub(super) fn draft(&self, user: &'a str, missing: u64) -> Draft<'a> {
        let labels = &self.alert.labels;
        let host = HOST_LABELS.map(|name| labels.get(name)).into_iter().find(|host| is_object_id(host));
        let name = [labels.get("alertname"), NAMELESS].into_iter().find(|name| !name.trim().is_empty());
        let object = |id: String, name: &str| {
            let name = shown(name, TITLE_SHOWN_BYTES_MAX, Lines::One);
            ObjectDraft { id: id.into(), name: name.into(), other: None }
        };
        let host = host.unwrap_or(NAMELESS);
        Draft {
            user: user.into(),
            kind: "service".into(),
            notification_type: if self.is_resolved { "RECOVERY" } else { "PROBLEM" }.into(),
            state: self.state().into(),
            host: object(host.to_owned(), host),
            service: object(fingerprint(self.alert), name.unwrap_or(NAMELESS)),
            title: self.title().into(),
            body: self.body(missing).into(),
            url: self.url().into(),
            ..Draft::default()
        }
    }

    fn state(&self) -> i64 {
        if self.is_resolved {
            return OK;
        }
        match self.alert.labels.get("severity").to_ascii_lowercase().as_str() {
            "critical" | "error" | "page" => CRITICAL,
            "warning" | "warn" => WARNING,
            _ => UNKNOWN,
        }
    }

    /// Empty where there is no summary: then the words are those of any service.
    fn title(&self) -> String {
        let summary = self.annotation("summary");
        match (summary.trim().is_empty(), self.is_resolved) {
            (true, _) => String::new(),
            (false, true) => shown(&format!("Resolved: {summary}"), TITLE_SHOWN_BYTES_MAX, Lines::One),
            (false, false) => shown(summary, TITLE_SHOWN_BYTES_MAX, Lines::One),
        }
    }

    fn body(&self, missing: u64) -> String {
        let mut tail = String::new();
        if let Some(at) = self.at.filter(|at| self.now.0.saturating_sub(at.0) >= SHOWN_AGAIN_AFTER_MS) {
            let (what, time) = (if self.is_resolved { "Resolved at" } else { "Firing since" }, at.utc().to_string());
            let (day, minute) = (time.get(..10).unwrap_or_default(), time.get(11..16).unwrap_or_default());
            // Writing to a string cannot fail.
            let _ = write!(tail, "\n{what} {day} {minute} UTC.");
        }
        if missing > 0 {
            let _ = write!(tail, "\nMore alerts that are not shown: {missing}.");
        }
        let description = [self.annotation("description"), self.annotation("message")];
        let description = description.into_iter().find(|text| !text.trim().is_empty()).unwrap_or_default();
        let body = shown(description, BODY_SHOWN_BYTES_MAX - tail.len(), Lines::Many) + &tail;
        body.trim_start().to_owned()
    }

    fn annotation(&self, name: &str) -> &'a str {
        let own = self.alert.annotations.get(name);
        if own.is_empty() { self.payload.common_annotations.get(name) } else { own }
    }

    /// The page that shows most of it; empty where there is none that a click may lead to.
    fn url(&self) -> &'a str {
        let Alert { panel_url, dashboard_url, generator_url, .. } = self.alert;
        let pages = [panel_url, dashboard_url, generator_url, &self.payload.external_url].map(text);
        pages
            .into_iter()
            .find(|url| url.len() <= URL_BYTES_MAX && !url.starts_with('/') && is_link(url))
            .unwrap_or_default()
    }
}

fn identify(alert: &Alert<'_>, is_resolved: bool, at: Option<UnixMillis>, now: UnixMillis) -> NotificationId {
    let age = now.0.saturating_sub(at.map_or(0, |at| at.0));
    let told = (age / SHOWN_AGAIN_AFTER_MS).to_be_bytes();
    let at = at.map_or(0, |at| at.0).to_be_bytes();
    let status: &[u8] = if is_resolved { b"resolved" } else { b"firing" };
    id::of([fingerprint(alert).as_bytes(), status, &at, &told].into_iter())
}

/// Alertmanager's name of the alert's labels; ours where it gives none.
fn fingerprint(alert: &Alert<'_>) -> String {
    let given = text(&alert.fingerprint).trim();
    if is_object_id(given) {
        return given.to_owned();
    }
    let labels = alert.labels.sorted();
    id::of(labels.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])).to_string()
}

fn is_object_id(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= OBJECT_ID_BYTES_MAX && !text.contains(char::is_control)
}
