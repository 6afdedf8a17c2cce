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
/// Whoever came in unchecked, and whose login seems to be over, is asked about again after this time at the latest.
pub(super) const AGAIN_WITHIN_MS: u64 = 30_000;

/// See the module.
pub(crate) struct Login {
    /// The values of all `Cookie` headers.
    cookies: Box<[u8]>,
    /// [`AGAIN_WITHIN_MS`], or less.
    again_within: u64,
    /// Held by whoever asks, so that one request answers all who wait.
    pub(super) asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Option<Answered>,
    /// Since when it was nobody's each time that there was an answer of use.
    nobodys_since: Option<u64>,
    /// Questions of an older one are of no use.
    generation: u64,
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
    /// The login was somebody's since it came in.
    was_checked: bool,
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
    pub(super) fn new(cookies: &[u8], again_within: u64) -> Self {
        let (asking, state) = Default::default();
        Self { cookies: cookies.into(), again_within, asking, state }
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

    /// Whether it was nobody's when it was asked about last, however long ago.
    pub(super) fn is_nobodys(&self) -> bool {
        self.lock().nobodys_since.is_some()
    }

    /// Whether a tab that comes in would need another answer, and no session is in by it. Its cookies are of no use then.
    pub(super) fn is_old(&self, now: u64) -> bool {
        let state = self.lock();
        state.guests.is_empty() && state.answer.as_ref().is_none_or(|answer| now >= answer.at + YES_FOR_MS)
    }

    /// What a question that begins now is answered for.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Notes the answer to a question of this generation, and ends the sessions whose login it is no more. Where nobody could
    /// be asked, all stay. Says whether it counts: what was forgotten meanwhile must be asked again.
    ///
    /// V1 tabs do not come back, so a single no ends none that was let in by a yes: it must be said again.
    pub(super) fn on_answer(&self, verdict: Verdict, at: u64, generation: u64) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        match verdict {
            Verdict::Yes(_) => {
                state.nobodys_since = None;
                state.guests.values_mut().for_each(|guest| guest.was_checked = true);
            }
            Verdict::No => _ = state.nobodys_since.get_or_insert(at),
            Verdict::Unclear | Verdict::Away => {}
        }
        let is_sure = state.nobodys_since.is_some_and(|since| at >= since + self.again_within);
        for guest in state.guests.values().filter(|guest| !guest.may_stay(&verdict, is_sure)) {
            guest.tab.log_out();
        }
        if !matches!(verdict, Verdict::Yes(_)) {
            state.due = state.due.min(at + self.again_within);
        }
        state.answer = Some(Answered { verdict, at });
        true
    }

    /// Nobody can be asked now.
    pub(super) fn put_off(&self, now: u64) {
        let mut state = self.lock();
        state.due = state.due.min(now + self.again_within);
    }

    /// What is known counts no longer, nor what is being asked.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        state.answer = None;
        state.generation += 1;
    }

    /// Whose it is, as far as is known.
    pub(super) fn owner(&self) -> Option<UserId> {
        match &self.lock().answer {
            Some(Answered { verdict: Verdict::Yes(user), .. }) => Some(user.clone()),
            _ => None,
        }
    }

    /// Tells every session that has not said for whom it listens, or listens for this user, that it is revoked; says how
    /// many did not know.
    pub(super) fn revoke(&self, user: &UserId) -> usize {
        let state = self.lock();
        let concerned = state.guests.values().filter(|guest| guest.user.as_ref().is_none_or(|claimed| claimed == user));
        concerned.filter(|guest| guest.tab.revoke()).count()
    }

    /// If it is time to ask again: for how long it has been. The next time is in `again_in` then.
    pub(super) fn is_due(&self, now: u64, again_in: u64) -> Option<u64> {
        let mut state = self.lock();
        if state.guests.is_empty() {
            return None;
        }
        let late = now.checked_sub(state.due)?;
        state.due = now + again_in;
        Some(late)
    }

    /// A session has come in by it at `now`, as that of `own`; it is asked about again `due_in` later, unless others are before,
    /// and soon if nobody could be asked.
    pub(super) fn enter(
        self: Arc<Self>,
        number: u64,
        tab: Arc<Tab>,
        own: Option<UserId>,
        now: u64,
        due_in: u64,
    ) -> Stay {
        let mut state = self.lock();
        let guest = Guest { tab, user: own.clone(), was_checked: own.is_some() };
        let due = now + if guest.was_checked { due_in } else { due_in.min(self.again_within) };
        if state.guests.is_empty() || state.due > due {
            state.due = due;
        }
        // The answer may have become another one since it was let in.
        if state.answer.as_ref().is_some_and(|answer| !guest.may_stay(&answer.verdict, false)) {
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
    /// `is_sure` says that a no was said more than once.
    fn may_stay(&self, verdict: &Verdict, is_sure: bool) -> bool {
        match (verdict, &self.user) {
            (_, Some(claimed)) if claimed.as_str() == CHECK_USER => true,
            (Verdict::Unclear | Verdict::Away, _) | (Verdict::Yes(_), None) => true,
            (Verdict::Yes(user), Some(claimed)) => user == claimed,
            (Verdict::No, _) => self.was_checked && !is_sure,
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
        answer.as_ref().is_none_or(|answer| guest.may_stay(&answer.verdict, false))
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

    fn login() -> Arc<Login> {
        Arc::new(Login::new(b"a=b", AGAIN_WITHIN_MS))
    }

    fn enter(login: &Arc<Login>, number: u64, own: Option<&str>, due_in: u64) -> (Arc<Tab>, Stay) {
        let tab = Arc::new(Tab::default());
        let stay = Arc::clone(login).enter(number, Arc::clone(&tab), own.map(user), 0, due_in);
        (tab, stay)
    }

    fn answer(login: &Login, verdict: Verdict, at: u64) {
        assert!(login.on_answer(verdict, at, login.generation()));
    }

    #[test]
    fn answers_grow_old() {
        let login = login();
        assert_eq!(login.fresh(0), None);
        for (verdict, good_for) in [(yes("7"), YES_FOR_MS), (Verdict::No, NO_FOR_MS), (Verdict::Unclear, NO_FOR_MS)] {
            answer(&login, verdict.clone(), 1_000);
            assert_eq!(login.fresh(1_000 + good_for - 1), Some(verdict.clone()));
            assert_eq!(login.fresh(1_000 + good_for), None);
            assert_eq!((login.since(1_000), login.since(1_001)), (Some(verdict), None));
        }
        answer(&login, yes("7"), 1_000);
        assert_eq!(login.owner(), Some(user("7")));
        login.forget();
        assert_eq!((login.fresh(1_000), login.owner()), (None, None));
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
            let login = login();
            answer(&login, yes("7"), 0);
            let (tab, _stay) = enter(&login, 1, Some("7"), 9);
            let (check, _checks) = enter(&login, 2, Some(CHECK_USER), 9);
            answer(&login, verdict.clone(), 5);
            answer(&login, verdict.clone(), 5 + AGAIN_WITHIN_MS);
            assert_eq!(is_out(&tab), ends, "{verdict:?}");
            assert!(!is_out(&check), "{verdict:?}");
        }
    }

    #[test]
    fn a_no_must_be_said_again_to_end_who_was_let_in() {
        let login = login();
        answer(&login, yes("7"), 0);
        let (tab, stay) = enter(&login, 1, Some("7"), 1_000_000);
        answer(&login, Verdict::No, 100);
        assert!(login.is_nobodys() && stay.claim(&user("7")), "said once");
        let again = 100 + AGAIN_WITHIN_MS;
        assert_eq!(login.is_due(again - 1, 1_000_000), None);
        assert_eq!(login.is_due(again, 1_000_000), Some(0), "asked again soon");
        answer(&login, Verdict::Unclear, again - 2);
        answer(&login, Verdict::No, again - 1);
        assert!(!tab.is_ending(), "too early to be sure");
        answer(&login, yes("7"), again);
        answer(&login, Verdict::No, again + 1);
        assert!(!tab.is_ending(), "a yes came between");
        answer(&login, Verdict::No, again + 1 + AGAIN_WITHIN_MS);
        assert!(is_out(&tab));
        let (unchecked, _stay) = enter(&login, 2, None, 9);
        assert!(is_out(&unchecked), "who was never checked has no such grace");
    }

    #[test]
    fn a_session_may_claim_what_the_login_says() {
        let login = login();
        let enter = |number, own| enter(&login, number, own, 9);
        let ((_, unasked), (_, tab)) = (enter(1, None), enter(2, None));
        assert!(unasked.claim(&user("7")), "nobody could be asked");
        answer(&login, yes("7"), 0);
        let (_, own) = enter(4, Some("7"));
        for forgets in [Verdict::Away, Verdict::Unclear] {
            answer(&login, forgets, 0);
            assert!(own.claim(&user("7")) && own.claim(&user(CHECK_USER)) && !own.claim(&user("8")), "known before");
        }
        login.forget();
        assert!(!own.claim(&user("8")));
        answer(&login, yes("7"), 0);
        assert!(tab.claim(&user("7")) && tab.claim(&user(CHECK_USER)) && !tab.claim(&user("8")));
        answer(&login, Verdict::No, 0);
        let (late, _late) = enter(3, None);
        assert!(is_out(&late), "the answer changed while it came in");
    }

    #[test]
    fn it_is_due_while_there_are_sessions() {
        let login = login();
        assert_eq!(login.is_due(100, 10), None);
        let stays = (enter(&login, 1, Some("7"), 100), enter(&login, 2, Some("7"), 50));
        assert_eq!((login.is_due(49, 10), login.is_due(50, 10)), (None, Some(0)));
        assert_eq!((login.is_due(59, 10), login.is_due(65, 10)), (None, Some(5)));
        drop(stays);
        assert_eq!(login.is_due(u64::MAX, 10), None);
    }

    #[test]
    fn who_came_in_unchecked_is_asked_about_soon() {
        let far = 1_000_000;
        let login = login();
        answer(&login, Verdict::Away, 0);
        let _stay = enter(&login, 1, None, far);
        assert_eq!(login.is_due(AGAIN_WITHIN_MS - 1, far), None);
        assert_eq!(login.is_due(AGAIN_WITHIN_MS, far), Some(0));
        // Still nobody to ask: by the answer, or because that is known already.
        answer(&login, Verdict::Away, AGAIN_WITHIN_MS);
        assert_eq!(login.is_due(2 * AGAIN_WITHIN_MS, far), Some(0));
        login.put_off(2 * AGAIN_WITHIN_MS);
        assert_eq!(login.is_due(3 * AGAIN_WITHIN_MS, far), Some(0));
    }

    #[test]
    fn what_was_asked_before_it_was_forgotten_does_not_count() {
        let login = login();
        let before = login.generation();
        login.forget();
        assert!(!login.on_answer(yes("7"), 5, before));
        assert_eq!((login.owner(), login.since(0)), (None, None));
        assert!(login.on_answer(yes("7"), 6, login.generation()));
    }

    #[test]
    fn logins_grow_old_without_sessions() {
        let login = login();
        assert!(login.is_old(0), "nothing is known");
        answer(&login, Verdict::No, 0);
        assert!(!login.is_old(YES_FOR_MS - 1) && login.is_old(YES_FOR_MS));
        let _stay = enter(&login, 1, Some("7"), 9);
        assert!(!login.is_old(YES_FOR_MS));
    }

    #[test]
    fn revoking_concerns_the_user_and_who_has_not_said() {
        let login = login();
        let _stays = (enter(&login, 1, Some("7"), 9), enter(&login, 2, None, 9), enter(&login, 3, Some(CHECK_USER), 9));
        assert_eq!((login.revoke(&user("7")), login.revoke(&user("7"))), (2, 0));
    }
}
