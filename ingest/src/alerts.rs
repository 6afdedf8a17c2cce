//! What Alertmanager and Grafana send, and the notifications that become of it. Pure: no clock, no log, no HTTP.
//!
//! `docs/engines/alertmanager.md` is the promise. An alert is shown as a service: its fingerprint stands for the service,
//! its instance for the host, so that what is told later of the same alert takes the place of what was told before.

use std::collections::HashSet;

use bellwire_common::ids::NotificationId;
use bellwire_common::notification::{Draft, check};

use crate::intake::{BATCH_ITEMS_MAX, Decision, Terms, Verdict, verdict};

mod event;
mod payload;
mod time;

pub use event::SHOWN_AGAIN_AFTER_MS;
use payload::Alert;
pub use payload::LABELS_MAX;
pub(crate) use payload::Payload;

/// Most users of one alert: no request brings more notifications.
pub const ALERT_USERS_MAX: usize = BATCH_ITEMS_MAX;

/// What becomes of a payload.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    /// One for each alert and user, in the payload's order.
    pub(crate) decisions: Vec<Decision>,
    /// Whom each is for.
    pub(crate) users: Vec<String>,
    /// Alerts that name no user.
    pub(crate) unmapped: usize,
    /// Alerts that name more than [`ALERT_USERS_MAX`].
    pub(crate) crowded: usize,
    /// Alerts for which there was no room: more than [`BATCH_ITEMS_MAX`] notifications would have come of them.
    pub(crate) left_out: usize,
}

/// Who an alert is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Users<'a> {
    /// The label of this name says it.
    Label(&'a str),
    /// The request's path says it: one, or several with commas between them.
    Path(&'a str),
}

/// Decides on all alerts of a payload.
pub(crate) fn decide(payload: &Payload<'_>, users: Users<'_>, terms: Terms<'_>) -> Alerts {
    let mut alerts = Alerts::default();
    let (mut chosen, mut notifications) = (Vec::new(), 0);
    for alert in &payload.alerts.first {
        let receivers = receivers(payload, alert, users);
        if receivers.is_empty() {
            alerts.unmapped += 1;
        } else if receivers.len() > ALERT_USERS_MAX {
            alerts.crowded += 1;
        } else if notifications + receivers.len() > BATCH_ITEMS_MAX {
            alerts.left_out += 1;
        } else {
            notifications += receivers.len();
            chosen.push((alert, receivers));
        }
    }
    alerts.left_out += payload.alerts.more;
    let missing = payload.truncated().saturating_add((alerts.left_out + alerts.crowded) as u64);
    // Each user's last notification says what is missing, so begin behind.
    let mut told = HashSet::new();
    for (alert, receivers) in chosen.into_iter().rev() {
        let event = event::Event::of(payload, alert, terms.now);
        for receiver in receivers.into_iter().rev() {
            let missing = if told.insert(receiver) { missing } else { 0 };
            alerts.decisions.push(one(&event.draft(receiver, missing), event.id(), terms));
            alerts.users.push(receiver.to_owned());
        }
    }
    alerts.decisions.reverse();
    alerts.users.reverse();
    alerts
}

fn one(draft: &Draft<'_>, id: NotificationId, terms: Terms<'_>) -> Decision {
    let verdict = match check(draft, terms.now, terms.ttl_ms) {
        Ok(checked) => verdict(checked, id.clone(), terms),
        Err(errors) => Verdict::Invalid(errors),
    };
    Decision { id: Some(id), verdict, ignored: Vec::new() }
}

/// Each once, in their order. More than may be are as good as one too many.
fn receivers<'p>(payload: &'p Payload<'_>, alert: &'p Alert<'_>, users: Users<'p>) -> Vec<&'p str> {
    let list = match users {
        Users::Path(list) => list,
        Users::Label(label) => {
            let places = [&alert.labels, &payload.common_labels, &payload.group_labels];
            places.into_iter().map(|labels| labels.get(label)).find(|list| !list.trim().is_empty()).unwrap_or_default()
        }
    };
    let mut known = HashSet::new();
    let named = list.split(',').map(str::trim).filter(|user| !user.is_empty() && known.insert(*user));
    named.take(ALERT_USERS_MAX + 1).collect()
}

#[cfg(test)]
mod tests;
