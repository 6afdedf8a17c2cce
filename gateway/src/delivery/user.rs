//! One user: what is held for it, and its browsers.

use std::collections::VecDeque;
use std::sync::Arc;

use bellwire_common::ids::{BrowserId, Offset, UnixMillis};
use bellwire_common::record::Opened;

use super::browser::Browser;
use super::bug::Bug;
use super::{Held, Outcomes, Position, STORM_SINGLES_MAX, STORM_WINDOW_MS};
use crate::planted;

#[derive(Debug, PartialEq)]
pub(super) struct User<X> {
    /// The furthest that any of its browsers confirmed (rule 4).
    pub(super) seen: Position,
    /// Sorted by id: one user may have a thousand.
    pub(super) browsers: Vec<Browser>,
    /// In the order of the log.
    held: VecDeque<Arc<Held<X>>>,
    bytes: usize,
}

impl<X> Default for User<X> {
    fn default() -> Self {
        Self { seen: Position::default(), browsers: Vec::new(), held: VecDeque::new(), bytes: 0 }
    }
}

impl<X> User<X> {
    // --- browsers ---

    pub(super) fn browser(&self, id: &BrowserId) -> Option<&Browser> {
        self.find(id).ok().and_then(|index| self.browsers.get(index))
    }

    pub(super) fn browser_mut(&mut self, id: &BrowserId) -> Option<&mut Browser> {
        self.find(id).ok().and_then(|index| self.browsers.get_mut(index))
    }

    /// The browser that opens a session. One that is not known starts at the smaller of where its tab was greeted and
    /// what others confirmed (rule 4); for it the longest away gives way when there are `max` already.
    pub(super) fn browser_for(&mut self, opened: &Opened, offset: Offset, max: usize) -> &mut Browser {
        let index = self.find(&opened.browser).unwrap_or_else(|_| {
            if self.browsers.len() >= max {
                self.forget_longest_away();
            }
            let from = opened.from.filter(|from| *from < offset);
            let from = if planted(Bug::ForgetGreeting) { Some(offset) } else { from };
            let start = Position::after_optional(from);
            let start = if planted(Bug::IgnoreUnseen) { start } else { start.min(self.seen) };
            let index = self.find(&opened.browser).unwrap_or_else(|free| free);
            // Most users have one browser, most browsers one tab: room for four would be most of what they take.
            self.browsers.reserve_exact(usize::from(self.browsers.is_empty()));
            self.browsers.insert(index, Browser::new(opened.browser.clone(), start));
            index
        });
        &mut self.browsers[index]
    }

    fn find(&self, id: &BrowserId) -> Result<usize, usize> {
        self.browsers.binary_search_by(|browser| browser.id.cmp(id))
    }

    fn forget_longest_away(&mut self) {
        let away = self.browsers.iter().enumerate().filter_map(|(i, b)| Some((b.away_since()?, i)));
        if let Some((_, index)) = away.min() {
            self.browsers.remove(index);
        }
    }

    /// Forgets a browser unless it came back in between.
    pub(super) fn forget_browser_away_since(&mut self, id: &BrowserId, since: UnixMillis) {
        self.browsers.retain(|browser| browser.id != *id || browser.away_since() != Some(since));
    }

    /// Notes that a browser has everything below `upto`; what that is the first to have is delivered, or, from a storm
    /// where those are shown in digests, digested.
    pub(super) fn saw(&mut self, upto: Position, digests: bool, outcomes: &mut Outcomes) {
        if upto > self.seen {
            let news = self.held.range(self.index_of(self.seen)..self.index_of(upto));
            let ended = news.len() as u64;
            let digested = news.filter(|held| digests && held.storm).count() as u64;
            outcomes.digested += digested;
            outcomes.delivered += ended - digested;
            self.seen = upto;
        }
    }

    // --- notifications ---

    /// Whether one that comes at this log time is one too many to be shown by itself.
    pub(super) fn is_storm(&self, now: UnixMillis) -> bool {
        let nth_last = self.held.len().checked_sub(STORM_SINGLES_MAX).and_then(|index| self.held.get(index));
        nth_last.is_some_and(|held| held.came_at.plus(STORM_WINDOW_MS) > now)
    }

    pub(super) fn hold(&mut self, held: Arc<Held<X>>) {
        self.bytes += held.payload.len();
        self.held.push_back(held);
    }

    pub(super) fn held_from(&self, position: Position) -> impl Iterator<Item = &Arc<Held<X>>> {
        self.held.range(self.index_of(position)..)
    }

    pub(super) fn holds(&self, offset: Offset) -> bool {
        self.held.get(self.index_at(offset)).is_some_and(|held| held.offset == offset)
    }

    pub(super) fn oldest(&self) -> Option<Offset> {
        self.held.front().map(|held| held.offset)
    }

    pub(super) fn over(&self, entries: usize, bytes: usize) -> bool {
        self.held.len() > entries || self.bytes > bytes
    }

    /// Takes out what has expired.
    pub(super) fn take(&mut self, offset: Offset) -> Option<Arc<Held<X>>> {
        let index = self.index_at(offset);
        if self.held.get(index)?.offset != offset {
            return None;
        }
        let held = self.held.remove(index)?;
        self.bytes -= held.payload.len();
        Some(held)
    }

    /// Drops the oldest for want of room; browsers that had it not yet missed it (rule 10).
    pub(super) fn give_way(&mut self) -> Option<Arc<Held<X>>> {
        let held = self.held.pop_front()?;
        self.bytes -= held.payload.len();
        self.browsers.iter_mut().for_each(|browser| browser.on_gave_way(held.offset));
        Some(held)
    }

    /// Nothing is left that anybody could ask for.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.browsers.is_empty()
    }

    fn index_of(&self, position: Position) -> usize {
        self.held.partition_point(|held| position.covers(held.offset))
    }

    fn index_at(&self, offset: Offset) -> usize {
        self.held.partition_point(|held| held.offset < offset)
    }
}
