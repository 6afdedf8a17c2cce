//! From what a shard knows to what is told of it. Pure.

use std::collections::{BTreeMap, HashMap};

use bellwire_common::ids::{BrowserId, NodeId, Offset, SessionId, UnixMillis, UserId};

use super::answer::{
    Browser, Confirmed, Dropped, LISTED_MAX, Repeat, SENT_MAX, Sent as SentView, State, Story, Tab, User, Way, WayState,
};
use super::{Event, Found, Sent};
use crate::delivery::{Accepted, BrowserLook, Happened, Moved, Position, SessionLook};

/// What one shard knows of a question.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// The one that is asked.
    pub(crate) node: NodeId,
    pub(crate) shard: u16,
    pub(crate) log: &'a str,
    pub(crate) applied: Position,
    /// Log time.
    pub(crate) time: UnixMillis,
    /// This node may send.
    pub(crate) sending: bool,
    /// What happened before is not known any more.
    pub(crate) since: UnixMillis,
    pub(crate) found: Found,
    /// Of the users of what was found, and of the one that was asked for.
    pub(crate) browsers: HashMap<UserId, Vec<BrowserLook>>,
    pub(crate) events: HashMap<UserId, Vec<Event>>,
}

/// What happened between a notification and one browser.
#[derive(Default)]
struct Between<'a> {
    known: Option<&'a BrowserLook>,
    /// Before its end.
    sent: Vec<&'a Sent>,
    /// The proof that the browser has it.
    moved: Option<&'a Moved>,
    /// A proof came after its end that does not say whether the browser has it.
    late: bool,
}

impl Scene<'_> {
    /// The user as it is now.
    pub(crate) fn user(&self, id: &UserId) -> User {
        let browsers = self.browsers.get(id).map(Vec::as_slice).unwrap_or_default();
        User {
            id: id.to_string(),
            shard: self.shard,
            log: self.log.to_owned(),
            applied: number(self.applied),
            browsers: browsers.iter().take(LISTED_MAX).map(browser).collect(),
            browsers_left_out: browsers.len().saturating_sub(LISTED_MAX),
        }
    }

    /// The notifications that were found, each with what happened to it.
    pub(crate) fn stories(&self) -> impl Iterator<Item = Story> + '_ {
        self.found.notifications.iter().map(|accepted| self.story(accepted))
    }

    fn story(&self, accepted: &Accepted) -> Story {
        let events = self.events.get(&accepted.user).map(Vec::as_slice).unwrap_or_default();
        let end = events.iter().find_map(|event| dropped(event, accepted.offset));
        let repeats = self.repeats(accepted, events);
        let over = end.is_some() || accepted.expires_at <= self.time;
        let between = self.between(accepted, events);
        let confirmed = confirmed_state(accepted, events).filter(|_| between.values().any(|b| b.moved.is_some()));
        Story {
            id: accepted.id.to_string(),
            user: accepted.user.to_string(),
            shard: self.shard,
            log: self.log.to_owned(),
            offset: accepted.offset.0,
            accepted_at: accepted.accepted_at.0,
            expires_at: accepted.expires_at.0,
            // What came first counts: a proof that comes after the end changes nothing.
            state: match &end {
                Some((_, true)) => State::Dropped,
                Some((_, false)) => confirmed.unwrap_or(State::Delivered),
                None => confirmed.unwrap_or(State::Waiting),
            },
            dropped: end.map(|(dropped, _)| dropped),
            repeats_left_out: repeats.len().saturating_sub(LISTED_MAX),
            repeats: repeats.into_iter().take(LISTED_MAX).collect(),
            browsers_left_out: between.len().saturating_sub(LISTED_MAX),
            browsers: between.iter().take(LISTED_MAX).map(|(id, b)| b.way(id, accepted, over)).collect(),
        }
    }

    /// The browsers that are there, and those that the notification once had to do with.
    fn between<'a>(&'a self, accepted: &Accepted, events: &'a [Event]) -> BTreeMap<&'a BrowserId, Between<'a>> {
        let mut between: BTreeMap<&BrowserId, Between<'_>> = BTreeMap::new();
        for known in self.browsers.get(&accepted.user).into_iter().flatten() {
            between.entry(&known.id).or_default().known = Some(known);
        }
        let mut ended = false;
        for event in events {
            match event {
                Event::Happened(Happened::Moved(moved)) if moved.covers(accepted.offset) => {
                    let between = between.entry(&moved.browser).or_default();
                    if ended && !between.was_sent_to(self.node, moved.session) {
                        between.late = true;
                    } else {
                        between.moved.get_or_insert(moved);
                    }
                }
                // One that stands behind the end passed over the notification; only its span covers it.
                Event::Sent(sent) if !ended && sent.covers(accepted.offset) => {
                    between.entry(&sent.browser).or_default().sent.push(sent);
                }
                _ => ended |= dropped(event, accepted.offset).is_some(),
            }
        }
        between
    }

    /// Those before its id was used again; as what was found are the newest, the next one is among it.
    fn repeats(&self, accepted: &Accepted, events: &[Event]) -> Vec<Repeat> {
        let same = |other: &&Accepted| other.user == accepted.user && other.id == accepted.id;
        let later = self.found.notifications.iter().filter(same).map(|other| other.offset);
        let next = later.filter(|offset| *offset > accepted.offset).min();
        let repeats = events.iter().filter_map(|event| match event {
            Event::Happened(Happened::Repeated(again)) if again.id == accepted.id => Some(again),
            _ => None,
        });
        repeats
            .filter(|again| again.offset > accepted.offset && next.is_none_or(|next| again.offset < next))
            .map(|again| Repeat { offset: again.offset.0, accepted_at: again.accepted_at.0 })
            .collect()
    }
}

impl Between<'_> {
    /// It was sent to this tab, so that whatever the tab proves behind it proves it too.
    fn was_sent_to(&self, here: NodeId, session: SessionId) -> bool {
        session.node == here && self.sent.iter().any(|sent| sent.session == session.number)
    }

    fn way(&self, id: &BrowserId, accepted: &Accepted, over: bool) -> Way {
        let state = self.state(accepted.offset, over);
        let owner = self.known.and_then(|known| known.sessions.first()).filter(|_| state == WayState::Waiting);
        let away_since = self.known.and_then(|known| known.away_since).filter(|_| state == WayState::Away);
        let sent_left_out = self.sent.len().saturating_sub(SENT_MAX);
        Way {
            id: id.to_string(),
            state,
            sent: self.sent.iter().skip(sent_left_out).map(|sent| sent_view(sent)).collect(),
            sent_left_out,
            confirmed: self.moved.map(|moved| confirmed(moved, accepted)),
            tab: owner.map(tab),
            away_since: away_since.map(|at| at.0),
        }
    }

    fn state(&self, offset: Offset, over: bool) -> WayState {
        match self.known {
            _ if self.moved.is_some() => WayState::Confirmed,
            _ if self.late => WayState::Late,
            // Nothing moved its cursor over the notification: it began behind it.
            Some(known) if known.cursor.covers(offset) => WayState::NotThere,
            _ if over => WayState::Dropped,
            None => WayState::Forgotten,
            Some(known) if known.sessions.is_empty() => WayState::Away,
            Some(_) => WayState::Waiting,
        }
    }
}

/// By the first proof, as the metrics count it.
fn confirmed_state(accepted: &Accepted, events: &[Event]) -> Option<State> {
    let first = events.iter().find_map(|event| match event {
        Event::Happened(Happened::Moved(moved)) if moved.covers(accepted.offset) => Some(moved),
        _ => None,
    })?;
    Some(if accepted.storm && first.digests { State::Digested } else { State::Delivered })
}

fn dropped(event: &Event, of: Offset) -> Option<(Dropped, bool)> {
    match event {
        Event::Happened(Happened::Dropped { offset, reason, unseen, at, .. }) if *offset == of => {
            Some((Dropped { reason: reason.label().to_owned(), at: at.0 }, *unseen))
        }
        _ => None,
    }
}

fn browser(look: &BrowserLook) -> Browser {
    Browser {
        id: look.id.to_string(),
        cursor: number(look.cursor),
        away_since: look.away_since.map(|at| at.0),
        tabs: look.sessions.iter().take(LISTED_MAX).map(tab).collect(),
        tabs_left_out: look.sessions.len().saturating_sub(LISTED_MAX),
    }
}

fn tab(look: &SessionLook) -> Tab {
    let SessionLook { id: SessionId { node, number }, owner, stalled, node_lost } = *look;
    Tab { node: node.to_string(), session: number, owner, stalled, node_lost }
}

fn sent_view(sent: &Sent) -> SentView {
    SentView { session: sent.session, protocol: sent.protocol.label().to_owned(), at: sent.at.0 }
}

fn confirmed(moved: &Moved, accepted: &Accepted) -> Confirmed {
    let SessionId { node, number } = moved.session;
    Confirmed {
        node: node.to_string(),
        session: number,
        at: moved.at.0,
        before: moved.before,
        digested: accepted.storm && moved.digests,
    }
}

fn number(position: Position) -> Option<u64> {
    position.last().map(|offset| offset.0)
}
