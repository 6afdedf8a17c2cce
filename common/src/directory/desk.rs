//! Who waits for which answer, and what is asked next: many who wait for one answer are one question, and many
//! questions are one query. Pure; time is given.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::cache::{Bounds, Cache};
use super::key::{Answer, Key};
use super::{CACHE_BYTES_MAX, CACHE_ENTRIES_MAX, FRESH, FRESH_NOTHING, STALE_MAX};

/// Most questions in one query.
pub(super) const BATCH_MAX: usize = 256;

/// Most who wait at one time; those beyond get no answer.
pub(super) const WAITING_MAX: usize = 10_000;

/// What an entry takes beside its name: the key and the table around it.
const ENTRY_BYTES: usize = 160;

/// See the module. `W` is how one who waits is told.
#[derive(Debug)]
pub(super) struct Desk<W> {
    cache: Cache<Key, Answer>,
    waiting: HashMap<Key, Vec<W>>,
    waiting_len: usize,
    /// Not asked yet, in order; each is in `waiting`.
    queue: VecDeque<Key>,
    asking: Option<Asking>,
}

/// Somebody carries questions to the database.
#[derive(Debug)]
struct Asking {
    /// When the query on its way began; none between two.
    since: Option<Duration>,
}

/// What is to be done for one who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Here is the answer.
    Known(Answer),
    /// Wait.
    Wait,
    /// Wait, and begin to carry questions to the database until [`Desk::batch`] has none.
    Carry,
    /// Too many wait.
    Full,
    /// The query on its way takes longer than anybody waits.
    Slow,
}

impl<W> Desk<W> {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::new(Bounds { entries: CACHE_ENTRIES_MAX, bytes: CACHE_BYTES_MAX }),
            waiting: HashMap::new(),
            waiting_len: 0,
            queue: VecDeque::new(),
            asking: None,
        }
    }

    /// A fresh answer.
    pub(super) fn fresh(&mut self, key: &Key, now: Duration) -> Option<Answer> {
        self.cache.fresh(key, now)
    }

    /// Asks for `key` at `now`; `ticket` is kept where the answer is to wait. Nobody waits longer than `patience`.
    pub(super) fn ask(&mut self, key: Key, ticket: W, now: Duration, patience: Duration) -> Asked {
        if let Some(answer) = self.cache.fresh(&key, now) {
            return Asked::Known(answer);
        }
        let on_its_way = self.asking.as_ref().and_then(|asking| asking.since);
        if on_its_way.is_some_and(|since| now >= since + patience) {
            return Asked::Slow;
        }
        if self.waiting_len >= WAITING_MAX {
            return Asked::Full;
        }
        self.waiting_len += 1;
        let waiting = self.waiting.entry(key).or_default();
        if waiting.is_empty() {
            self.queue.push_back(key);
        }
        waiting.push(ticket);
        if self.asking.is_some() {
            return Asked::Wait;
        }
        self.asking = Some(Asking { since: None });
        Asked::Carry
    }

    /// An answer that stands in where there is no better one: a name, and not too long ago. What was known of a user
    /// does not: it might refuse one who has switched on push notifications since.
    pub(super) fn stale(&mut self, key: &Key, now: Duration) -> Option<Answer> {
        self.cache.within(key, now, STALE_MAX).filter(|answer| matches!(answer, Answer::Name(_)))
    }

    /// The next questions; when there are none, whoever carries them is done.
    pub(super) fn batch(&mut self, now: Duration) -> Vec<Key> {
        let batch: Vec<_> = self.queue.drain(..self.queue.len().min(BATCH_MAX)).collect();
        self.asking = (!batch.is_empty()).then_some(Asking { since: Some(now) });
        batch
    }

    /// Keeps an answer; returns who waited for it.
    pub(super) fn settle(&mut self, key: Key, answer: &Answer, now: Duration) -> Vec<W> {
        let fresh_for = if *answer == Answer::Nothing { FRESH_NOTHING } else { FRESH };
        self.cache.put(key, answer.clone(), ENTRY_BYTES + answer.heap_bytes(), now, fresh_for);
        self.give_up(&key)
    }

    /// Whoever carried the questions does so no more; returns who waited.
    pub(super) fn abandon(&mut self) -> Vec<W> {
        (self.asking, self.waiting_len) = (None, 0);
        self.queue.clear();
        self.waiting.drain().flat_map(|(_, waited)| waited).collect()
    }

    /// There will be no answer; returns who waited for it.
    pub(super) fn give_up(&mut self, key: &Key) -> Vec<W> {
        let waited = self.waiting.remove(key).unwrap_or_default();
        self.waiting_len -= waited.len();
        waited
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::key::User;
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(250);

    fn user(id: i32) -> Key {
        Key::User(id)
    }

    fn ask(desk: &mut Desk<u32>, id: i32, ticket: u32, now: Duration) -> Asked {
        desk.ask(user(id), ticket, now, PATIENCE)
    }

    const T: Duration = Duration::from_secs(1000);

    #[test]
    fn many_who_wait_for_one_answer_are_one_question() {
        let mut desk = Desk::new();
        assert_eq!(ask(&mut desk, 1, 10, T), Asked::Carry);
        assert_eq!(ask(&mut desk, 1, 11, T), Asked::Wait);
        assert_eq!(ask(&mut desk, 2, 12, T), Asked::Wait);
        assert_eq!(desk.batch(T), [user(1), user(2)]);
        assert_eq!(ask(&mut desk, 1, 13, T), Asked::Wait, "joins the question on its way");
        let answer = Answer::User(User::default());
        assert_eq!(desk.settle(user(1), &answer, T), [10, 11, 13]);
        assert_eq!(desk.give_up(&user(2)), [12]);
        assert_eq!(desk.batch(T), []);
        assert_eq!(ask(&mut desk, 1, 14, T), Asked::Known(answer));
        assert_eq!(ask(&mut desk, 2, 15, T), Asked::Carry);
    }

    #[test]
    fn a_query_takes_so_many_questions_and_not_more() {
        let mut desk = Desk::new();
        for id in 0..BATCH_MAX as i32 + 1 {
            ask(&mut desk, id, 0, T);
        }
        assert_eq!(desk.batch(T).len(), BATCH_MAX);
        assert_eq!(desk.batch(T), [user(BATCH_MAX as i32)]);
    }

    #[test]
    fn nobody_waits_for_a_query_that_is_slow_already() {
        let mut desk = Desk::new();
        ask(&mut desk, 1, 0, T);
        desk.batch(T);
        assert_eq!(ask(&mut desk, 2, 1, T + PATIENCE - Duration::from_millis(1)), Asked::Wait);
        assert_eq!(ask(&mut desk, 3, 2, T + PATIENCE), Asked::Slow);
        desk.give_up(&user(1));
        assert_eq!(desk.batch(T + PATIENCE), [user(2)]);
        assert_eq!(ask(&mut desk, 3, 2, T + PATIENCE), Asked::Wait, "the next query has its own time");
    }

    #[test]
    fn so_many_wait_and_not_more() {
        let mut desk = Desk::new();
        for ticket in 0..WAITING_MAX as u32 {
            assert_ne!(ask(&mut desk, 1, ticket, T), Asked::Full);
        }
        assert_eq!(ask(&mut desk, 2, 0, T), Asked::Full);
        assert_eq!(desk.give_up(&user(1)).len(), WAITING_MAX);
        assert_eq!(ask(&mut desk, 2, 0, T), Asked::Wait);
    }

    #[test]
    fn what_was_known_of_a_user_refuses_nobody_later() {
        let mut desk: Desk<u32> = Desk::new();
        desk.settle(user(1), &Answer::User(User::default()), T);
        assert_eq!(desk.fresh(&user(1), T), Some(Answer::User(User::default())));
        assert_eq!(desk.stale(&user(1), T + FRESH), None);
    }

    #[test]
    fn when_nobody_carries_questions_any_more_the_next_one_who_asks_does() {
        let mut desk = Desk::new();
        ask(&mut desk, 1, 10, T);
        desk.batch(T);
        ask(&mut desk, 2, 11, T);
        assert_eq!(desk.abandon().len(), 2);
        assert_eq!(ask(&mut desk, 2, 12, T + PATIENCE), Asked::Carry);
        assert_eq!(desk.batch(T + PATIENCE), [user(2)]);
        assert_eq!(desk.give_up(&user(2)), [12]);
    }

    #[test]
    fn a_name_stands_in_for_a_time_and_that_there_is_none_does_not() {
        let mut desk: Desk<u32> = Desk::new();
        let name = Answer::Name(Arc::from("web-01"));
        desk.settle(user(1), &name, T);
        desk.settle(user(2), &Answer::Nothing, T);
        assert_eq!(desk.fresh(&user(2), T + FRESH_NOTHING - Duration::from_millis(1)), Some(Answer::Nothing));
        assert_eq!(desk.fresh(&user(2), T + FRESH_NOTHING), None);
        assert_eq!(desk.fresh(&user(1), T + FRESH), None);
        assert_eq!(desk.stale(&user(1), T + FRESH), Some(name));
        assert_eq!(desk.stale(&user(2), T), None);
        assert_eq!(desk.stale(&user(1), T + STALE_MAX), None);
    }
}
