//! From those who ask to the queries: one task carries the questions while there are any.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::database::Database;
use super::desk::{Asked, Desk};
use super::key::{Answer, Key, Kind};
use super::{DirectoryError, LOOKUP_MAX, QUERY_TIMEOUT, sql};
use crate::metrics::{self, CounterSeries};

/// Answers, cached and batched. Clones share everything.
#[derive(Clone)]
pub(super) struct Lookups(Arc<Inner>);

struct Inner {
    database: Database,
    desk: Mutex<Desk<Ticket>>,
    began: Instant,
    results: HashMap<(Kind, Ended), CounterSeries>,
}

/// How a lookup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ended {
    /// It was known.
    Cached,
    /// The database has said it.
    Found,
    /// The database has said that there is none.
    Unknown,
    /// An old answer stood in.
    Stale,
    /// There is none: it took too long.
    Slow,
    /// There is none: the database does not answer.
    Away,
    /// There is none: the database says no.
    Refused,
    /// There is none: too many wait.
    Overloaded,
}

impl Lookups {
    pub(super) fn new(database: Database) -> Self {
        metrics::DIRECTORY_LOOKUPS.zero();
        let pairs = Kind::ALL.into_iter().flat_map(|kind| Ended::ALL.map(|ended| (kind, ended)));
        let series = |(kind, ended): (Kind, Ended)| metrics::DIRECTORY_LOOKUPS.with(&[kind.label(), ended.label()]);
        let results = pairs.map(|pair| (pair, series(pair))).collect();
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
                    Ok(Err(_)) => Err(Ended::Away),
                    Err(_) => Err(Ended::Slow),
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
            return Place::Here(fresh.map(|answer| (Ended::Cached, answer)).ok_or(Ended::Away));
        }
        let (sender, ticket) = oneshot::channel();
        let asked = self.desk().ask(key, sender, now, LOOKUP_MAX);
        match asked {
            Asked::Known(answer) => Place::Here(Ok((Ended::Cached, answer))),
            Asked::Full => Place::Here(Err(Ended::Overloaded)),
            Asked::Slow => Place::Here(Err(Ended::Slow)),
            Asked::Wait => Place::Waiting(ticket),
            Asked::Carry => {
                tokio::spawn(self.clone().carry());
                Place::Waiting(ticket)
            }
        }
    }

    /// Counts how it ended; an old answer is better than none.
    fn end(&self, key: &Key, had: Result<(Ended, Answer), Ended>) -> Option<Answer> {
        let (ended, answer) = match had {
            Ok((ended, answer)) => (ended, Some(answer)),
            Err(missing) => match self.desk().stale(key, self.now()) {
                Some(answer) => (Ended::Stale, Some(answer)),
                None => (missing, None),
            },
        };
        if let Some(series) = self.0.results.get(&(key.kind(), ended)) {
            series.increment(1);
        }
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

    fn desk(&self) -> MutexGuard<'_, Desk<Ticket>> {
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

/// How one who waits is told: the answer, or why there is none.
type Ticket = oneshot::Sender<Result<Answer, Ended>>;

enum Place {
    Here(Result<(Ended, Answer), Ended>),
    Waiting(oneshot::Receiver<Result<Answer, Ended>>),
}

fn found(answer: &Answer) -> Ended {
    if *answer == Answer::Nothing { Ended::Unknown } else { Ended::Found }
}

fn missing(error: &DirectoryError) -> Ended {
    match error {
        DirectoryError::Away => Ended::Away,
        DirectoryError::Busy => Ended::Overloaded,
        DirectoryError::Refused(_) => Ended::Refused,
    }
}

impl Ended {
    const ALL: [Self; 8] = [
        Self::Cached,
        Self::Found,
        Self::Unknown,
        Self::Stale,
        Self::Slow,
        Self::Away,
        Self::Refused,
        Self::Overloaded,
    ];

    /// As the metric names it.
    fn label(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Found => "found",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::Slow => "slow",
            Self::Away => "away",
            Self::Refused => "refused",
            Self::Overloaded => "overloaded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not in the catalogue would be counted nowhere.
    #[test]
    fn each_end_of_a_lookup_is_in_the_catalogue() {
        let labels = metrics::DIRECTORY_LOOKUPS.0.labels;
        assert_eq!(labels[0].values, Kind::ALL.map(Kind::label));
        assert_eq!(labels[1].values, Ended::ALL.map(Ended::label));
    }
}
