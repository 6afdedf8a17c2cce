//! One browser's login in openITCOCKPIT, as its cookies carry it, and the sessions that are in by it.
//!
//! The cookies are kept once for all tabs of a browser, to be asked about again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellwire_common::ids::{CHECK_USER, UserId};

use super::verdict::Verdict;
use crate::tab::Tab;

/// How long an answer that names a user is good for another tab.
pub(super) const YES_FOR_MS: u64 = 30_000;
/// How long any other answer is. V2 tabs ask every 3 s, for as long as they are open.
pub(super) const NO_FOR_MS: u64 = 3_000;
/// Whoever came in unchecked is asked about again after this time at the latest.
const UNCHECKED_FOR_MS: u64 = 30_000;

/// See the module.
pub(crate) struct Login {
    /// The values of all `Cookie` headers.
    cookies: Box<[u8]>,
    /// Held by whoever asks, so that one request answers all who wait.
    pub(super) asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Option<Answered>,
    guests: HashMap<u64, Guest>,
    /// When they are asked about again.
    due: u64,
}

/// What was answered, and when. Milliseconds of the steady clock of those who ask.
struct Answered {
    verdict: Verdict,
    at: u64,
}

/// A session.
struct Guest {
    tab: Arc<Tab>,
    /// Whose notifications it wants; until it has said so, whose the login was.
    user: Option<UserId>,
}

/// A session's place with its login; its drop gives it up.
pub(crate) struct Stay {
    login: Arc<Login>,
    number: u64,
    /// Whose the login was when the session came in; none if nobody could be asked.
    own: Option<UserId>,
}

// === impl Login ===

impl Login {
    pub(super) fn new(cookies: &[u8]) -> Self {
        Self { cookies: cookies.into(), asking: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    pub(super) fn cookies(&self) -> &[u8] {
        &self.cookies
    }

    /// An answer that is still good.
    pub(super) fn fresh(&self, now: u64) -> Option<Verdict> {
        let state = self.lock();
        let answer = state.answer.as_ref()?;
        let good_for = if matches!(answer.verdict, Verdict::Yes(_)) { YES_FOR_MS } else { NO_FOR_MS };
        (now < answer.at + good_for).then(|| answer.verdict.clone())
    }

    /// An answer that came at this time or later.
    pub(super) fn since(&self, at: u64) -> Option<Verdict> {
        self.lock().answer.as_ref().filter(|answer| answer.at >= at).map(|answer| answer.verdict.clone())
    }

    /// Notes an answer, and ends the sessions whose login it is no more. Where nobody could be asked, all stay.
    pub(super) fn on_answer(&self, verdict: Verdict, at: u64) {
        let mut state = self.lock();
        for guest in state.guests.values().filter(|guest| !guest.may_stay(&verdict)) {
            guest.tab.log_out();
        }
        if matches!(verdict, Verdict::Unclear | Verdict::Away) {
            state.due = state.due.min(at + UNCHECKED_FOR_MS);
        }
        state.answer = Some(Answered { verdict, at });
    }

    /// What is known counts no longer.
    pub(super) fn forget(&self) {
        self.lock().answer = None;
    }

    /// Whether it is this user's, as far as is known.
    pub(super) fn is_of(&self, user: &UserId) -> bool {
        matches!(&self.lock().answer, Some(Answered { verdict: Verdict::Yes(known), .. }) if known == user)
    }

    /// Tells every session that has not said for whom it listens, or listens for this user, that it is revoked; says how
    /// many did not know.
    pub(super) fn revoke(&self, user: &UserId) -> usize {
        let state = self.lock();
        let concerned = state.guests.values().filter(|guest| guest.user.as_ref().is_none_or(|claimed| claimed == user));
        concerned.filter(|guest| guest.tab.revoke()).count()
    }

    /// Whether it is time to ask again. If so, the next time is in `again_in`.
    pub(super) fn is_due(&self, now: u64, again_in: u64) -> bool {
        let mut state = self.lock();
        if state.guests.is_empty() || now < state.due {
            return false;
        }
        state.due = now + again_in;
        true
    }

    /// A session has come in by it, as that of `own`; it is asked about again at `due`, unless others are before.
    pub(super) fn enter(self: Arc<Self>, number: u64, tab: Arc<Tab>, own: Option<UserId>, due: u64) -> Stay {
        let mut state = self.lock();
        let guest = Guest { tab, user: own.clone() };
        if state.guests.is_empty() || state.due > due {
            state.due = due;
        }
        // The answer may have become another one since it was let in.
        if state.answer.as_ref().is_some_and(|answer| !guest.may_stay(&answer.verdict)) {
            guest.tab.log_out();
        }
        state.guests.insert(number, guest);
        drop(state);
        Stay { login: self, number, own }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

// === impl Guest ===

impl Guest {
    fn may_stay(&self, verdict: &Verdict) -> bool {
        match (verdict, &self.user) {
            (Verdict::Unclear | Verdict::Away, _) | (Verdict::Yes(_), None) => true,
            (Verdict::Yes(user), Some(claimed)) => user == claimed || claimed.as_str() == CHECK_USER,
            (Verdict::No, claimed) => claimed.as_ref().is_some_and(|claimed| claimed.as_str() == CHECK_USER),
        }
    }
}

// === impl Stay ===

impl Stay {
    /// The session says for which user it listens; whether the login is that one's. It is believed where nobody could be
    /// asked: neither when it came in nor since.
    pub(super) fn claim(&self, user: &UserId) -> bool {
        if self.own.as_ref().is_some_and(|own| own != user && user.as_str() != CHECK_USER) {
            return false;
        }
        let mut state = self.login.lock();
        let State { answer, guests, .. } = &mut *state;
        let Some(guest) = guests.get_mut(&self.number) else { return false };
        guest.user = Some(user.clone());
        answer.as_ref().is_none_or(|answer| guest.may_stay(&answer.verdict))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.login.lock().guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> UserId {
        UserId::try_new(text).unwrap()
    }

    fn yes(text: &str) -> Verdict {
        Verdict::Yes(user(text))
    }

    /// Whether the tab of a session was told to go.
    fn is_out(tab: &Tab) -> bool {
        !tab.log_out()
    }

    #[test]
    fn answers_grow_old() {
        let login = Login::new(b"a=b");
        assert_eq!(login.fresh(0), None);
        for (verdict, good_for) in [(yes("7"), YES_FOR_MS), (Verdict::No, NO_FOR_MS), (Verdict::Unclear, NO_FOR_MS)] {
            login.on_answer(verdict.clone(), 1_000);
            assert_eq!(login.fresh(1_000 + good_for - 1), Some(verdict.clone()));
            assert_eq!(login.fresh(1_000 + good_for), None);
            assert_eq!((login.since(1_000), login.since(1_001)), (Some(verdict), None));
        }
        login.on_answer(yes("7"), 1_000);
        assert!(login.is_of(&user("7")) && !login.is_of(&user("8")));
        login.forget();
        assert_eq!(login.fresh(1_000), None);
        assert_eq!(format!("{login:?}"), "Login(..)");
    }

    #[test]
    fn another_user_and_nobody_end_the_sessions() {
        for (verdict, ends) in [
            (yes("7"), false),
            (yes("8"), true),
            (Verdict::No, true),
            (Verdict::Unclear, false),
            (Verdict::Away, false),
        ] {
            let login = Arc::new(Login::new(b"a=b"));
            login.on_answer(yes("7"), 0);
            let (tab, check) = (Arc::new(Tab::default()), Arc::new(Tab::default()));
            let _stay = Arc::clone(&login).enter(1, Arc::clone(&tab), Some(user("7")), 9);
            let _checks = Arc::clone(&login).enter(2, Arc::clone(&check), Some(user(CHECK_USER)), 9);
            login.on_answer(verdict.clone(), 5);
            assert_eq!(is_out(&tab), ends, "{verdict:?}");
            assert!(!is_out(&check), "{verdict:?}");
        }
    }

    #[test]
    fn a_session_may_claim_what_the_login_says() {
        let login = Arc::new(Login::new(b"a=b"));
        let enter = |number, own: Option<&str>| Arc::clone(&login).enter(number, Arc::default(), own.map(user), 9);
        let (unasked, tab) = (enter(1, None), enter(2, None));
        assert!(unasked.claim(&user("7")), "nobody could be asked");
        login.on_answer(yes("7"), 0);
        let own = enter(4, Some("7"));
        for forgets in [Verdict::Away, Verdict::Unclear] {
            login.on_answer(forgets, 0);
            assert!(own.claim(&user("7")) && own.claim(&user(CHECK_USER)) && !own.claim(&user("8")), "known before");
        }
        login.forget();
        assert!(!own.claim(&user("8")));
        login.on_answer(yes("7"), 0);
        assert!(tab.claim(&user("7")) && tab.claim(&user(CHECK_USER)) && !tab.claim(&user("8")));
        login.on_answer(Verdict::No, 0);
        let late = Arc::new(Tab::default());
        let _late = Arc::clone(&login).enter(3, Arc::clone(&late), None, 9);
        assert!(is_out(&late), "the answer changed while it came in");
    }

    #[test]
    fn it_is_due_while_there_are_sessions() {
        let login = Arc::new(Login::new(b"a=b"));
        assert!(!login.is_due(100, 10));
        let first = Arc::clone(&login).enter(1, Arc::default(), None, 100);
        let second = Arc::clone(&login).enter(2, Arc::default(), None, 50);
        assert!(!login.is_due(49, 10) && login.is_due(50, 10) && !login.is_due(59, 10) && login.is_due(60, 10));
        login.is_due(70, 1_000_000);
        login.on_answer(Verdict::Away, 70);
        assert!(!login.is_due(70 + UNCHECKED_FOR_MS - 1, 10) && login.is_due(70 + UNCHECKED_FOR_MS, 10));
        drop((first, second));
        assert!(!login.is_due(u64::MAX, 10));
    }

    #[test]
    fn revoking_concerns_the_user_and_who_has_not_said() {
        let login = Arc::new(Login::new(b"a=b"));
        let enter =
            |number, claimed: Option<&str>| Arc::clone(&login).enter(number, Arc::default(), claimed.map(user), 9);
        let _stays = (enter(1, Some("7")), enter(2, None), enter(3, Some(CHECK_USER)));
        assert_eq!((login.revoke(&user("7")), login.revoke(&user("7"))), (2, 0));
    }
}
