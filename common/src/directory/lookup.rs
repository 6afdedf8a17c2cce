//! From those who ask to the queries: one task carries the questions while there are any.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::database::Database;
use super::desk::{Asked, Desk};
use super::key::{Answer, Key};
use super::{DirectoryError, KINDS, LOOKUP_MAX, QUERY_TIMEOUT, sql};
use crate::metrics::{self, CounterSeries};

/// Answers, cached and batched. Clones share everything.
#[derive(Clone)]
pub(super) struct Lookups(Arc<Inner>);

struct Inner {
    database: Database,
    desk: Mutex<Desk<oneshot::Sender<Result<Answer, Missing>>>>,
    began: Instant,
    /// By kind of key and result.
    results: [[CounterSeries; RESULTS.len()]; KINDS.len()],
}

/// Results of a lookup, as its metric names them.
const RESULTS: [&str; 8] = ["cached", "found", "unknown", "stale", "slow", "away", "refused", "overloaded"];

#[derive(Clone, Copy)]
enum Had {
    Cached,
    Found,
    Unknown,
    Stale,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Slow,
    Away,
    Refused,
    Overloaded,
}

impl Lookups {
    pub(super) fn new(database: Database) -> Self {
        metrics::DIRECTORY_LOOKUPS.zero();
        let results = KINDS.map(|kind| RESULTS.map(|result| metrics::DIRECTORY_LOOKUPS.with(&[kind, result])));
        Self(Arc::new(Inner { database, desk: Mutex::new(Desk::new()), began: Instant::now(), results }))
    }

    /// The answer for each key, within [`LOOKUP_MAX`] for all of them; none where it is not known.
    pub(super) async fn ask(&self, keys: &[Key]) -> Vec<Option<Answer>> {
        let deadline = Instant::now() + LOOKUP_MAX;
        let places: Vec<_> = keys.iter().map(|key| self.place(*key)).collect();
        let mut answers = Vec::with_capacity(keys.len());
        for (key, place) in keys.iter().zip(places) {
            let had = match place {
                Place::Here(had) => had,
                Place::Waiting(ticket) => match timeout_at(deadline, ticket).await {
                    Ok(Ok(had)) => had.map(|answer| (found(&answer), answer)),
                    // Nobody carries questions any more: the runtime ends, or the task has failed.
                    Ok(Err(_)) => Err(Missing::Away),
                    Err(_) => Err(Missing::Slow),
                },
            };
            answers.push(self.end(key, had));
        }
        answers
    }

    fn place(&self, key: Key) -> Place {
        let now = self.now();
        if !self.0.database.is_up() {
            let fresh = self.desk().fresh(&key, now);
            return Place::Here(fresh.map(|answer| (Had::Cached, answer)).ok_or(Missing::Away));
        }
        let (sender, ticket) = oneshot::channel();
        let asked = self.desk().ask(key, sender, now, LOOKUP_MAX);
        match asked {
            Asked::Known(answer) => Place::Here(Ok((Had::Cached, answer))),
            Asked::Full => Place::Here(Err(Missing::Overloaded)),
            Asked::Slow => Place::Here(Err(Missing::Slow)),
            Asked::Wait => Place::Waiting(ticket),
            Asked::Carry => {
                tokio::spawn(self.clone().carry());
                Place::Waiting(ticket)
            }
        }
    }

    /// Counts how it ended; an old answer is better than none.
    fn end(&self, key: &Key, had: Result<(Had, Answer), Missing>) -> Option<Answer> {
        let (result, answer) = match had {
            Ok((found, answer)) => (found as usize, Some(answer)),
            Err(missing) => match self.desk().stale(key, self.now()) {
                Some(answer) => (Had::Stale as usize, Some(answer)),
                None => (Had::Stale as usize + 1 + missing as usize, None),
            },
        };
        self.0.results[key.kind()][result].increment(1);
        answer
    }

    /// Carries questions to the database until there are none.
    async fn carry(self) {
        let mut carrier = Carrier { lookups: &self, is_done: false };
        loop {
            let batch = self.desk().batch(self.now());
            if batch.is_empty() {
                carrier.is_done = true;
                return;
            }
            let (users, names): (Vec<_>, Vec<_>) = batch.into_iter().partition(|key| matches!(key, Key::User(_)));
            let database = &self.0.database;
            let named = async {
                if names.is_empty() {
                    Ok(HashMap::new())
                } else {
                    database.run(QUERY_TIMEOUT, async |conn| sql::names(conn, &names).await).await
                }
            };
            let known = async {
                if users.is_empty() {
                    Ok(HashMap::new())
                } else {
                    database.run(QUERY_TIMEOUT, async |conn| sql::users(conn, &users).await).await
                }
            };
            let (named, known) = tokio::join!(named, known);
            self.settle(&names, named);
            self.settle(&users, known);
        }
    }

    fn settle(&self, keys: &[Key], answered: Result<HashMap<Key, Answer>, DirectoryError>) {
        let now = self.now();
        let mut desk = self.desk();
        for key in keys {
            let (told, tickets) = match &answered {
                Ok(answers) => {
                    let answer = answers.get(key).cloned().unwrap_or(Answer::Nothing);
                    let tickets = desk.settle(*key, &answer, now);
                    (Ok(answer), tickets)
                }
                Err(error) => (Err(missing(error)), desk.give_up(key)),
            };
            for ticket in tickets {
                // Whoever does not wait any more needs no answer.
                let _ = ticket.send(told.clone());
            }
        }
    }

    fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    fn desk(&self) -> MutexGuard<'_, Desk<oneshot::Sender<Result<Answer, Missing>>>> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever carries the questions. One that ends otherwise than for want of questions must not hold up all that come.
struct Carrier<'a> {
    lookups: &'a Lookups,
    is_done: bool,
}

impl Drop for Carrier<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            // Without their tickets they are told that nobody carries questions any more, outside of the lock.
            let waited = self.lookups.desk().abandon();
            drop(waited);
        }
    }
}

enum Place {
    Here(Result<(Had, Answer), Missing>),
    Waiting(oneshot::Receiver<Result<Answer, Missing>>),
}

fn found(answer: &Answer) -> Had {
    if *answer == Answer::Nothing { Had::Unknown } else { Had::Found }
}

fn missing(error: &DirectoryError) -> Missing {
    match error {
        DirectoryError::Away => Missing::Away,
        DirectoryError::Busy => Missing::Overloaded,
        DirectoryError::Refused(_) => Missing::Refused,
    }
}
