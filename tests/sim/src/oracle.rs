//! Judges a run by its history. The letters are those of `docs/delivery.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bellwire_common::ids::{BrowserId, SessionId, UnixMillis, UserId};

use crate::delivery::Position;
use crate::history::{Connection, History, Ms, Shown, Span, touches};
use crate::plan::Kind;
use crate::world::{EPOCH_MS, World};

mod late;
mod repeats;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub promise: char,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.promise, self.text)
    }
}

/// A tab that has been well for so long has had what it is to have.
const TIME_TO_SHOW_MS: Ms = 10_000;
/// Clocks differ by so much; what expires within it may be dropped or shown.
const EXPIRY_MARGIN_MS: Ms = 8_000;
/// What has waited is shown within this time.
const LATE_FRAMES_MS: Ms = 1_000;
/// A lagging reader has caught up after this.
const LATE_READ_MS: Ms = 4_000;
/// An announcement is in the log after this, if nothing is wrong.
const TIME_TO_TELL_MS: Ms = 4_000;

/// Judges what was shown, when all trouble is over and settled.
#[must_use]
pub fn judge(world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    let history = &world.history;
    for connection in &history.connections {
        found.extend(twice_on_one_connection(connection));
    }
    if world.ran_away() {
        found.push(violation('k', "there is no end of events".to_owned()));
        return found;
    }
    let told = clocks_can_be_told(world) && logs_can_be_told(history);
    for browser in 0..history.browsers.len() {
        if told {
            found.extend(repeats::unexcused(history, browser));
        }
        // What gave way for a gateway may be shown late by one that lags.
        if told && !world.plan.bounded {
            found.extend(out_of_order(history, browser));
        }
    }
    if !world.plan.bounded && told {
        for browser in 0..history.browsers.len() {
            found.extend(missed(world, browser));
            found.extend(late::not_in_time(world, browser));
        }
        found.extend(shown_to_nobody(world));
    }
    found.extend(states_differ(world));
    found.extend(bounds_are_broken(world));
    found
}

/// Judges the books, when everything has expired.
#[must_use]
pub fn judge_end(world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    if clocks_can_be_told(world) {
        found.extend(owners_without_a_socket(world));
    }
    found.extend(books_are_wrong(world));
    found
}

fn violation(promise: char, text: String) -> Violation {
    Violation { promise, text }
}

/// One wrong clock is outvoted as long as three nodes live, and none of them is taken for lost.
fn clocks_can_be_told(world: &World) -> bool {
    let history = &world.history;
    if !history.had(Kind::WrongClock) {
        return true;
    }
    if !history.writes_broken.is_empty() {
        return false;
    }
    let well = |node: &crate::history::NodeLife, at: Ms| {
        let lives = node.started + 5_000 <= at && node.crashed.is_none_or(|end| end > at);
        lives
            && node.left.is_none_or(|end| end > at)
            && !node.broken.iter().any(|(span, _)| touches(*span, at, at + 5_000))
    };
    (5_000..world.now).step_by(500).all(|at| history.nodes.iter().filter(|node| well(node, at)).count() >= 3)
}

/// Whoever does not notice that the log was replaced tells places of the old one to the new one.
fn logs_can_be_told(history: &History) -> bool {
    let blind = |at: Ms| history.nodes.iter().flat_map(|node| &node.broken).any(|(span, _)| touches(*span, at, at));
    !history.replaced.iter().any(|&at| blind(at))
}

/// (j)
fn twice_on_one_connection(connection: &Connection) -> Option<Violation> {
    let mut seen = BTreeSet::new();
    let twice = connection.shown.iter().find(|shown| !seen.insert((shown.epoch, shown.offset)))?;
    Some(violation('j', format!("offset {} twice on a connection of browser {}", twice.offset, connection.browser)))
}

/// (c). What waited in a link that carried nothing, or for a page that hung, is shown late: another tab went on. So does
/// a gateway that reads late, and has not read yet what has expired for the others.
fn out_of_order(history: &History, browser: usize) -> Option<Violation> {
    let mut first = BTreeSet::new();
    let mut last = (0, 0);
    for (connection, shown) in shows(history, browser) {
        let connection = &history.connections[connection];
        let within = |span: &Span, ms: Ms| touches(*span, shown.at.saturating_sub(ms), shown.at);
        let reads_late =
            |(span, kind): &(Span, Kind)| matches!(kind, Kind::Lag | Kind::Deaf) && within(span, LATE_READ_MS);
        let waited = connection.broken.iter().any(|span| within(span, LATE_FRAMES_MS))
            || history.nodes[connection.node].broken.iter().any(reads_late);
        if !first.insert(shown.number) || waited {
            continue;
        }
        if (shown.epoch, shown.offset) < last {
            return Some(violation('c', format!("browser {browser} shows offset {} behind {}", shown.offset, last.1)));
        }
        last = (shown.epoch, shown.offset);
    }
    None
}

/// What a browser's pages have handled, in the order of time, with the connection.
fn shows(history: &History, browser: usize) -> Vec<(usize, Shown)> {
    let of_browser = history.connections.iter().enumerate().filter(|(_, connection)| connection.browser == browser);
    let mut shows: Vec<(usize, Shown)> =
        of_browser.flat_map(|(index, connection)| connection.shown.iter().map(move |&shown| (index, shown))).collect();
    shows.sort_by_key(|(_, shown)| shown.at);
    shows
}

/// (a)
fn missed(world: &World, browser: usize) -> Option<Violation> {
    let history = &world.history;
    let well = world.well_since(browser).filter(|since| since + TIME_TO_SHOW_MS <= world.now);
    let (Some(_), Some(known)) = (well, known_since(world, browser)) else { return None };
    let has: BTreeSet<usize> = shows(history, browser).into_iter().map(|(_, shown)| shown.number).collect();
    let user = history.browsers[browser].user;
    let (number, sent) = due(world).find(|(number, sent)| {
        sent.user == user && sent.first.is_some_and(|first| first.at > known) && !has.contains(number)
    })?;
    Some(violation('a', format!("browser {browser}, known since {known}, never shows {number} of {}", sent.taken)))
}

/// Accepted, in the log that is there now, and not about to expire.
fn due(world: &World) -> impl Iterator<Item = (usize, &crate::history::Sent)> {
    let (now, epoch) = (world.now, world.history.epoch);
    world.history.sent.iter().enumerate().filter(move |(_, sent)| {
        let here = sent.first.is_some_and(|first| first.epoch == epoch && first.at + TIME_TO_SHOW_MS <= now);
        sent.accepted.is_some() && here && sent.expires_at > now + EXPIRY_MARGIN_MS
    })
}

/// From when on every gateway knew the browser without a break: the greeting of a connection whose announcement must
/// have reached the log.
fn known_since(world: &World, browser: usize) -> Option<Ms> {
    let history = &world.history;
    let mut connections: Vec<&Connection> =
        history.connections.iter().filter(|c| c.browser == browser && c.announced.is_some()).collect();
    connections.sort_by_key(|connection| connection.announced);
    let mut known: Option<Ms> = None;
    let mut here_until = 0;
    // A tab that was announced before may have made the browser known, and begun later.
    let mut greeted = 0;
    for connection in connections {
        let announced = connection.announced?;
        if announced > here_until + world.plan.ttl.saturating_sub(EXPIRY_MARGIN_MS) {
            known = None;
            greeted = 0;
        }
        greeted = greeted.max(connection.greeted.unwrap_or_default());
        here_until = here_until.max(connection.ended.unwrap_or(Ms::MAX));
        if known.is_none() && was_told(history, connection, announced) {
            known = Some(greeted);
        }
    }
    known
}

fn was_told(history: &History, connection: &Connection, announced: Ms) -> bool {
    let until = announced + TIME_TO_TELL_MS;
    let node = &history.nodes[connection.node];
    let lives = node.crashed.is_none_or(|end| end > until) && connection.ended.is_none_or(|end| end > until);
    let here = history.replaced.iter().all(|&at| at < announced);
    lives
        && here
        && !node.broken.iter().any(|(span, _)| touches(*span, announced, until))
        && !history.writes_broken.iter().any(|span| touches(*span, announced, until))
}

/// (h)
fn shown_to_nobody(world: &World) -> Option<Violation> {
    let history = &world.history;
    let mut has: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut well: BTreeSet<usize> = BTreeSet::new();
    for (browser, known) in history.browsers.iter().enumerate() {
        has.entry(known.user).or_default().extend(shows(history, browser).into_iter().map(|(_, shown)| shown.number));
        if world.well_since(browser).is_some_and(|since| since + TIME_TO_SHOW_MS <= world.now) {
            well.insert(known.user);
        }
    }
    let (number, sent) =
        due(world).find(|(number, sent)| well.contains(&sent.user) && !has[&sent.user].contains(number))?;
    Some(violation('h', format!("nobody shows {number}, taken at {}, of user {}", sent.taken, sent.user)))
}

/// (e)
fn states_differ(world: &World) -> Option<Violation> {
    let nodes: Vec<_> = world.serving().collect();
    let (first, others) = nodes.split_first()?;
    for other in others {
        let (a, b) = (first.replica.machine(), other.replica.machine());
        if a.applied() != b.applied() {
            continue;
        }
        if !first.late && !other.late && !a.same_state(b) {
            return Some(violation('e', "two gateways that read the same differ".to_owned()));
        }
        for (user, browser, session) in world.live_sessions() {
            let asks = |m: &crate::delivery::Machine<()>| {
                let next = m.next(session, Position::default(), 1_000);
                let soon = UnixMillis(EPOCH_MS + world.now + EXPIRY_MARGIN_MS);
                let held = next.held.iter().filter(|held| held.expires_at > soon);
                let offsets: Vec<(u64, bool)> = held.map(|held| (held.offset.0, held.storm)).collect();
                (m.owner(&user, &browser), offsets)
            };
            if asks(a) != asks(b) {
                let (a, b) = (asks(a), asks(b));
                return Some(violation('e', format!("gateways decide otherwise for {user} {browser}: {a:?} or {b:?}")));
            }
        }
    }
    None
}

/// (g)
fn bounds_are_broken(world: &World) -> Option<Violation> {
    let over = world.serving().find(|node| {
        let machine = node.replica.machine();
        machine.held_bytes() > machine.limits().shard_bytes
    })?;
    let bytes = over.replica.machine().held_bytes();
    Some(violation('g', format!("{bytes} bytes held")))
}

/// (i)
fn owners_without_a_socket(world: &World) -> Vec<Violation> {
    let sockets: BTreeSet<SessionId> = world.live_sessions().map(|(_, _, session)| session).collect();
    let mut found = Vec::new();
    for node in world.serving() {
        for index in 0..world.history.browsers.len() {
            let (user, browser) = ids_of(&world.history, index);
            if let Some(owner) = node.replica.machine().owner(&user, &browser).filter(|owner| !sockets.contains(owner))
            {
                let (seen_by, late) = (node.id, node.late);
                let text =
                    format!("browser {index} is owned by {owner:?}, which has no socket, for {seen_by} (late: {late})");
                found.push(violation('i', text));
            }
        }
    }
    found.truncate(1);
    found
}

/// (f)
fn books_are_wrong(world: &World) -> Option<Violation> {
    let history = &world.history;
    // Whoever was away for so long that it was forgotten is to the others as one that crashed.
    let forgotten = |span: &Span| span.1 - span.0 + EXPIRY_MARGIN_MS > world.plan.ttl;
    let crashed = [Kind::Crash, Kind::PowerCut, Kind::Replaced].into_iter().any(|kind| history.had(kind));
    if crashed || history.nodes.iter().flat_map(|node| &node.broken).any(|(span, _)| forgotten(span)) {
        return None;
    }
    let came = history.sent.iter().filter(|sent| sent.records > 0).count() as u64;
    let repeated: u64 = history.sent.iter().map(|sent| sent.records.saturating_sub(1)).sum();
    let [delivered, digested, expired, user_bound, shard_bound, duplicate] = history.counted;
    let ended = delivered + digested + expired + user_bound + shard_bound;
    let text = format!(
        "{came} came: {delivered} delivered, {digested} digested, {expired} expired, {user_bound} and {shard_bound} gave way; \
         {duplicate} of {repeated} duplicates"
    );
    // Long after its expiry a repetition is not known as one any more: it is expired like anything old.
    let forgotten = repeated.saturating_sub(duplicate).min(expired);
    (ended != came + forgotten || duplicate + forgotten != repeated).then(|| violation('f', text))
}

/// What the machines call a browser.
#[must_use]
pub fn ids_of(history: &History, browser: usize) -> (UserId, BrowserId) {
    let user = (history.browsers[browser].user + 1).to_string();
    (UserId::try_new(&user).expect("a number"), BrowserId::try_new(&format!("b{browser}")).expect("a browser"))
}
