//! (b) and (d): a browser shows a notification again only where nobody can know that it was shown.

use std::collections::BTreeMap;

use super::{Violation, shows, violation};
use crate::history::{Connection, History, Ms, Shown, touches};
use crate::plan::Kind;

/// A proof is in the log, and read, after this: progress is told once a second.
const TIME_TO_TELL_MS: Ms = 3_000;
/// As long as this a node may go on with a view that the others have left behind.
const TIME_TO_LOSE_MS: Ms = 6_000;

pub(super) fn unexcused(history: &History, browser: usize) -> Option<Violation> {
    let mut shows = shows(history, browser);
    // Whose decision came first: frames may wait in a link for long.
    shows.sort_by_key(|(_, shown)| shown.sent);
    let mut last: BTreeMap<usize, (usize, Shown)> = BTreeMap::new();
    for (connection, shown) in shows {
        let Some((before, first)) = last.insert(shown.number, (connection, shown)) else { continue };
        if first.epoch == shown.epoch && !is_excused(history, (before, first), (connection, shown)) {
            return Some(violation(
                if shown.sent < first.sent + TIME_TO_TELL_MS { 'b' } else { 'd' },
                format!(
                    "browser {browser} is sent {} at {} on connection {before}, and at {} on connection {connection}",
                    shown.number, first.sent, shown.sent
                ),
            ));
        }
    }
    None
}

fn is_excused(history: &History, first: (usize, Shown), second: (usize, Shown)) -> bool {
    let connection = &history.connections[first.0];
    let proves = |(_, epoch, upto): &&(Ms, u32, u64)| *epoch == first.1.epoch && *upto >= first.1.offset;
    let proof = connection.proofs.iter().find(proves).map(|(at, _, _)| *at);
    let told = proof.map_or(Ms::MAX, |at| at + TIME_TO_TELL_MS);
    let until = told.min(second.1.sent);
    unknown_of_first(history, connection, first.1.sent, until, proof) || second_is_behind(history, second, first.1.sent)
}

/// The first tab or its node could not tell that it was shown.
fn unknown_of_first(history: &History, connection: &Connection, from: Ms, until: Ms, proof: Option<Ms>) -> bool {
    let node = &history.nodes[connection.node];
    let crashed = node.crashed.is_some_and(|at| touches((at, at), from, until));
    let node_broken = node.broken.iter().any(|(span, _)| touches(*span, from.saturating_sub(TIME_TO_LOSE_MS), until));
    let tab_broken = connection.broken.iter().any(|span| touches(*span, from.saturating_sub(TIME_TO_LOSE_MS), until));
    let untold = history.writes_broken.iter().any(|span| touches(*span, from.saturating_sub(TIME_TO_LOSE_MS), until));
    let cut = connection.ended.is_some_and(|at| at <= until && proof.is_none_or(|proof| proof > at));
    crashed || node_broken || tab_broken || untold || (cut && !connection.drained)
}

/// The second tab's node reads too late to know what the others have decided. A freeze is no excuse: whoever wakes must
/// first read what it missed (rule 12).
fn second_is_behind(history: &History, second: (usize, Shown), from: Ms) -> bool {
    let node = &history.nodes[history.connections[second.0].node];
    let reading = |kind: &Kind| matches!(kind, Kind::Deaf | Kind::Lag | Kind::Outage | Kind::Dumb);
    let late = |(span, kind): &((Ms, Ms), Kind)| {
        reading(kind) && touches(*span, from.saturating_sub(TIME_TO_LOSE_MS), second.1.at)
    };
    // What waited in the second tab's link or page was sent before.
    let held = &history.connections[second.0].broken;
    node.broken.iter().any(late)
        || held.iter().any(|span| touches(*span, from.saturating_sub(TIME_TO_LOSE_MS), second.1.at))
}
