//! (a), in time: whatever is wrong with a browser's other tabs, one that is well has everything within seconds.

use std::collections::BTreeMap;

use super::{Violation, shows, violation};
use crate::history::{Connection, History, Ms, Sent, touches};
use crate::world::World;

/// A stalled tab is found in 6 s, a lost node in 4 s.
const IN_TIME_MS: Ms = 12_000;
/// So long a tab must have been open before: its announcement is in the log.
const TOLD_MS: Ms = 4_000;

pub(super) fn not_in_time(world: &World, browser: usize) -> Option<Violation> {
    let history = &world.history;
    let mut first: BTreeMap<usize, Ms> = BTreeMap::new();
    for (_, shown) in shows(history, browser) {
        first.entry(shown.number).or_insert(shown.at);
    }
    let known = super::known_since(world, browser)?;
    let connections: Vec<&Connection> = history.connections.iter().filter(|c| c.browser == browser).collect();
    let of_user = history.sent.iter().enumerate().filter(|(_, sent)| sent.user == history.browsers[browser].user);
    for (number, sent) in of_user {
        let Some(landed) = sent.first.map(|first| first.at) else { continue };
        let until = landed + IN_TIME_MS;
        let late = first.get(&number).is_none_or(|&at| at > until);
        if late && landed > known && until < world.now && can_be_shown(history, sent, landed, until) {
            let well = |connection: &&&Connection| is_well(history, connection, landed, until);
            if let Some(tab) = connections.iter().find(well) {
                let greeted = tab.greeted.unwrap_or_default();
                let text =
                    format!("browser {browser} has a tab since {greeted} that is well, and not {number} of {landed}");
                return Some(violation('a', text));
            }
        }
    }
    None
}

/// It did not expire meanwhile, nor was the log replaced.
fn can_be_shown(history: &History, sent: &Sent, landed: Ms, until: Ms) -> bool {
    let replaced = history.replaced.iter().any(|&at| at + TOLD_MS >= landed && at <= until);
    !replaced && sent.records > 0 && sent.expires_at > until + super::EXPIRY_MARGIN_MS
}

/// Neither the tab nor its node nor any report was in trouble.
fn is_well(history: &History, connection: &Connection, landed: Ms, until: Ms) -> bool {
    let node = &history.nodes[connection.node];
    let here =
        connection.announced.is_some_and(|at| at + TOLD_MS < landed) && connection.ended.is_none_or(|at| at > until);
    let lives = node.crashed.is_none_or(|at| at > until) && node.left.is_none_or(|at| at > until);
    let from = landed.saturating_sub(TOLD_MS);
    here && lives
        && !connection.broken.iter().any(|span| touches(*span, from, until))
        && !node.broken.iter().any(|(span, _)| touches(*span, from, until))
        && !history.writes_broken.iter().any(|span| touches(*span, landed, until))
}
