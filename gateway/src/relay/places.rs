//! Room for notifications on their way to the relay: so many in all, and so many of one user, whose devices may not take
//! them and must stand in nobody's way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use bellwire_common::ids::UserId;
use bellwire_common::metrics::GATEWAY_RELAY_WAITING;

/// Most notifications on their way.
pub(super) const PLACES_MAX: usize = 1_000;
/// Most of one user.
pub(super) const USER_PLACES_MAX: usize = 250;
/// Requests for one user at one time.
const USER_CONCURRENCY: usize = 4;

/// See the module. Clones share the room.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    users: Mutex<HashMap<UserId, Held>>,
    taken: watch::Sender<usize>,
}

#[derive(Debug)]
struct Held {
    len: usize,
    turns: Arc<Semaphore>,
}

/// One notification's room; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    user: UserId,
    turns: Arc<Semaphore>,
}

impl Places {
    /// None where there is no room.
    pub(super) fn take(&self, user: &UserId) -> Option<Place> {
        let mut users = self.users();
        if *self.0.taken.borrow() >= PLACES_MAX {
            return None;
        }
        let new = || Held { len: 0, turns: Arc::new(Semaphore::new(USER_CONCURRENCY)) };
        let held = users.entry(user.clone()).or_insert_with(new);
        if held.len >= USER_PLACES_MAX {
            return None;
        }
        held.len += 1;
        self.0.taken.send_modify(|taken| *taken += 1);
        GATEWAY_RELAY_WAITING.with(&[]).increment(1.0);
        Some(Place { places: self.clone(), user: user.clone(), turns: Arc::clone(&held.turns) })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        *self.0.taken.borrow()
    }

    /// Waits until none is taken.
    pub(super) async fn empty(&self) {
        // It cannot be closed: this holds it.
        let _ = self.0.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Held>> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The turn for one request; whoever pauses must not hold it.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes them.
        self.turns.acquire().await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.places.users();
        if let Some(held) = users.get_mut(&self.user) {
            held.len -= 1;
            if held.len == 0 {
                users.remove(&self.user);
            }
        }
        GATEWAY_RELAY_WAITING.with(&[]).decrement(1.0);
        self.places.0.taken.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserId {
        UserId::try_new(&number.to_string()).unwrap()
    }

    #[tokio::test]
    async fn one_user_leaves_room_for_others_and_all_take_so_many() {
        let places = Places::default();
        let mut taken: Vec<_> = (0..USER_PLACES_MAX).map(|_| places.take(&user(1)).unwrap()).collect();
        assert!(places.take(&user(1)).is_none());
        taken.extend((USER_PLACES_MAX..PLACES_MAX).map(|number| places.take(&user(number)).unwrap()));
        assert!(places.take(&user(PLACES_MAX)).is_none());
        assert_eq!(places.taken(), PLACES_MAX);
        drop(taken.remove(0));
        let again = places.take(&user(1)).unwrap();
        drop((taken, again));
        places.empty().await;
        assert!(places.users().is_empty());
    }

    #[tokio::test]
    async fn one_user_has_so_many_turns() {
        let places = Places::default();
        let (one, two, other) =
            (places.take(&user(1)).unwrap(), places.take(&user(1)).unwrap(), places.take(&user(2)).unwrap());
        let mut turns = Vec::new();
        for _ in 0..USER_CONCURRENCY {
            turns.push(one.turn().await.unwrap());
        }
        assert!(two.turns.try_acquire().is_err());
        assert!(other.turns.try_acquire().is_ok());
        turns.pop();
        assert!(two.turn().await.is_some());
    }
}
