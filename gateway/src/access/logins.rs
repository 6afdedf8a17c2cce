//! Asks openITCOCKPIT whose the cookies of a browser are, and keeps what it says.
//!
//! One request at a time for each browser, however many of its tabs wait, and a bounded number in all. Before one without an
//! answer of use counts as openITCOCKPIT being away, it is asked something that needs no login, by a connection of its
//! own: cookies that make it fail, and a crowd before it, must not pass for that. As long as it is away nobody asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use bellwire_common::fetch::{Answer, Client, FetchError, TrustError};
use bellwire_common::ids::UserId;
use bellwire_common::metrics::{
    GATEWAY_LOGIN_CHECK_SECONDS, GATEWAY_LOGIN_CHECKS, GATEWAY_LOGIN_CHECKS_LATE_SECONDS, GATEWAY_OPENITCOCKPIT_AWAY,
};
use bellwire_common::settings::OpenItCockpit;

use super::login::{AGAIN_WITHIN_MS, Login, Stay};
use super::site;
use super::verdict::{self, Verdict};
use crate::pace::{Rate, Telling};
use crate::tab::Tab;

/// A page that is loaded waits no longer than this, and for as long again where it must be seen who is there at all.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Requests at one time: each keeps a process of openITCOCKPIT busy.
const CONCURRENCY: usize = 16;
/// Of these, so many to ask again about open tabs: those who come in must not wait for them.
const AGAIN_CONCURRENCY: usize = 4;
/// Logins that are remembered though no session is in by them.
const IDLE_MAX: usize = 4096;
/// How often it is looked whom to ask about again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The log tells of answers that are of no use this often at the most. Milliseconds.
const TELL: Rate = Rate { every: 600_000, burst: 1 };
/// So much of where a redirect leads is told.
const HOST_CHARS_TOLD: usize = 128;

/// See the module.
pub(crate) struct Logins {
    client: Client,
    probe: Client,
    url: String,
    recheck: Duration,
    started: Instant,
    known: Mutex<Known>,
    /// Answered to a request without cookies: [`Verdict::No`] where somebody is there.
    site: Login,
    /// So that the log says it once.
    is_away: AtomicBool,
    /// What the log says of answers that are of no use.
    told: Telling,
}

/// By the SHA-256 of the cookies.
#[derive(Default)]
struct Known {
    logins: HashMap<[u8; 32], Arc<Login>>,
    /// At this size those that nobody needs are looked for.
    sweep_at: usize,
}

impl Logins {
    pub(super) fn try_new(site: &OpenItCockpit, recheck: Duration) -> Result<Self, TrustError> {
        Ok(Self {
            client: site::client(site, TIMEOUT, CONCURRENCY)?,
            probe: site::client(site, TIMEOUT, 1)?,
            url: site::url(site),
            recheck,
            started: Instant::now(),
            known: Mutex::default(),
            site: Login::new(b"", AGAIN_WITHIN_MS),
            is_away: AtomicBool::new(false),
            told: Telling::default(),
        })
    }

    /// The login that these headers carry; none without cookies.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<Arc<Login>> {
        let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let cookies = cookies.join(&b"; "[..]);
        if cookies.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let mut known = self.lock();
        known.sweep(self.now());
        let hash = Sha256::digest(&cookies).into();
        let again_within = AGAIN_WITHIN_MS.min(millis(self.recheck));
        Some(Arc::clone(known.logins.entry(hash).or_insert_with(|| Arc::new(Login::new(&cookies, again_within)))))
    }

    /// Whose login it is, as of the last seconds.
    pub(super) async fn ask(&self, login: &Login) -> Verdict {
        match login.fresh(self.now()) {
            Some(verdict) => verdict,
            None => self.ask_anew(login).await,
        }
    }

    /// A session has come in by this login, as that of `own`. When it is asked about again is spread: many may come at once.
    pub(super) fn enter(&self, login: Arc<Login>, number: u64, tab: Arc<Tab>, own: Option<UserId>) -> Stay {
        login.enter(number, tab, own, self.now(), self.spread(0.5))
    }

    /// Forgets what was said about this user, or is being asked, and ends the sessions of those logins; how many.
    pub(super) fn revoke(&self, user: &UserId) -> usize {
        let all: Vec<_> = self.lock().logins.values().map(|login| (login.owner(), Arc::clone(login))).collect();
        let concerned = all.iter().filter(|(owner, _)| owner.as_ref().is_none_or(|owner| owner == user));
        concerned
            .map(|(owner, login)| {
                login.forget();
                if owner.is_some() { login.revoke(user) } else { 0 }
            })
            .sum()
    }

    /// Asks again about the logins of open sessions, each at its time, for as long as it is polled; and whether openITCOCKPIT is
    /// back, also where no tab comes that wants to know.
    pub(super) async fn follow(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY.min(self.recheck));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if self.is_away.load(Ordering::Acquire) {
                self.site().await;
            }
            let asked = |login: Arc<Login>| async move {
                self.ask_anew(&login).await;
            };
            stream::iter(self.due()).for_each_concurrent(AGAIN_CONCURRENCY, asked).await;
        }
    }

    /// The logins that are to be asked about again. Drops those that are of no use any more.
    fn due(&self) -> Vec<Arc<Login>> {
        let (now, mut late, mut due) = (self.now(), 0, Vec::new());
        self.lock().logins.retain(|_, login| {
            if let Some(late_ms) = login.is_due(now, self.spread(0.9)) {
                late = late.max(late_ms);
                due.push(Arc::clone(login));
            }
            is_held(login) || !login.is_old(now)
        });
        GATEWAY_LOGIN_CHECKS_LATE_SECONDS.with(&[]).set(Duration::from_millis(late).as_secs_f64());
        due
    }

    async fn ask_anew(&self, login: &Login) -> Verdict {
        let since = self.now();
        if let Some(away @ Verdict::Away) = self.site.fresh(since) {
            login.put_off(since);
            return away;
        }
        let _turn = login.asking.lock().await;
        if let Some(verdict) = login.since(since) {
            return verdict;
        }
        let generation = login.generation();
        let verdict = self.asked(login).await;
        if login.on_answer(verdict.clone(), self.now(), generation) {
            return verdict;
        }
        // It was revoked meanwhile: what was asked before does not count.
        let (generation, verdict) = (login.generation(), self.asked(login).await);
        if login.on_answer(verdict.clone(), self.now(), generation) { verdict } else { Verdict::Unclear }
    }

    async fn asked(&self, login: &Login) -> Verdict {
        let begin = Instant::now();
        let asked = self.client.get(&self.url, &[("cookie", login.cookies()), site::ACCEPT]).await;
        GATEWAY_LOGIN_CHECK_SECONDS.with(&[]).record(begin.elapsed());
        let verdict = match &asked {
            Ok(answer) => Verdict::of(answer.status, &answer.body, answer.location.as_deref()),
            Err(_) => Verdict::Unclear,
        };
        let verdict = if verdict == Verdict::Unclear { self.unclear(asked).await } else { verdict };
        if !matches!(verdict, Verdict::Unclear | Verdict::Away) {
            self.is_there();
        }
        GATEWAY_LOGIN_CHECKS.count(&[label(&verdict)]);
        verdict
    }

    /// Whether it is because openITCOCKPIT is away that there is no answer of use.
    async fn unclear(&self, asked: Result<Answer, FetchError>) -> Verdict {
        if self.site().await == Verdict::Away {
            return Verdict::Away;
        }
        self.tell_of_use(&asked);
        Verdict::Unclear
    }

    /// Whether openITCOCKPIT is away. One whose certificate is not trusted is there: the key alone must not open anything where
    /// somebody stands in between.
    async fn site(&self) -> Verdict {
        let _turn = self.site.asking.lock().await;
        if let Some(verdict) = self.site.fresh(self.now()) {
            return verdict;
        }
        let verdict = match self.probe.get(&self.url, &[site::ACCEPT]).await {
            Ok(answer) if verdict::is_there(answer.status) => {
                self.is_there();
                Verdict::No
            }
            Ok(answer) => self.is_away(&format!("status {}", answer.status)),
            Err(FetchError::Untrusted(error)) => {
                debug!(error, "openITCOCKPIT's certificate is not trusted");
                Verdict::Unclear
            }
            Err(error) => self.is_away(&error.to_string()),
        };
        self.site.on_answer(verdict.clone(), self.now(), self.site.generation());
        verdict
    }

    /// An address that is not openITCOCKPIT's own keeps everybody out, and no page can say why. Any stranger's cookies can make
    /// it fail too, so it is not told each time.
    fn tell_of_use(&self, asked: &Result<Answer, FetchError>) {
        if !self.told.may(self.now(), TELL) {
            return;
        }
        let (status, leads_to, error) = match asked {
            Ok(answer) => (Some(answer.status), answer.location.as_deref().map(host_of), None),
            Err(error) => (None, None, Some(error.to_string())),
        };
        warn!(
            status,
            leads_to,
            error,
            "a login check got no answer of use though somebody is there: if nobody gets in, openitcockpit-url or openitcockpit-ca-file is wrong, or a sign-on stands before it"
        );
    }

    fn is_away(&self, error: &str) -> Verdict {
        GATEWAY_OPENITCOCKPIT_AWAY.with(&[]).set(1.0);
        if !self.is_away.swap(true, Ordering::AcqRel) {
            warn!(
                error,
                "openITCOCKPIT does not answer the login check: open tabs stay (session-check says who else gets in)"
            );
        }
        Verdict::Away
    }

    fn is_there(&self) {
        if self.is_away.swap(false, Ordering::AcqRel) {
            GATEWAY_OPENITCOCKPIT_AWAY.with(&[]).set(0.0);
            info!("openITCOCKPIT answers the login check again");
        }
    }

    /// Milliseconds of a time between this part of the interval and the whole.
    fn spread(&self, least: f64) -> u64 {
        millis(self.recheck.mul_f64(least + (1.0 - least) * fastrand::f64()))
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Known {
    /// Makes room: drops logins that no session is in by and nobody waits for, first those that were answered long ago.
    fn sweep(&mut self, now: u64) {
        if self.logins.len() < self.sweep_at.max(IDLE_MAX) {
            return;
        }
        self.logins.retain(|_, login| is_held(login) || login.fresh(now).is_some());
        let held = self.logins.values().filter(|login| is_held(login)).count();
        if self.logins.len() - held >= IDLE_MAX {
            self.logins.retain(|_, login| is_held(login));
        }
        self.sweep_at = self.logins.len() + IDLE_MAX;
    }
}

/// Whether somebody needs it. Under the lock of their map nobody can take another hold of one.
fn is_held(login: &Arc<Login>) -> bool {
    Arc::strong_count(login) > 1
}

/// Scheme and host of an address; what follows may be secret.
fn host_of(location: &str) -> String {
    let end = location.match_indices('/').nth(2).map_or(location.len(), |(at, _)| at);
    let end = location.find(['?', '#']).map_or(end, |at| at.min(end));
    location[..end].chars().take(HOST_CHARS_TOLD).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn label(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Yes(_) => "yes",
        Verdict::No => "no",
        Verdict::Unclear => "unclear",
        Verdict::Away => "away",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins() -> Logins {
        let site = OpenItCockpit { origin: "http://127.0.0.1:1".to_owned(), ca: None };
        Logins::try_new(&site, Duration::from_secs(300)).unwrap()
    }

    fn cookies(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn one_login_for_the_same_cookies() {
        let logins = logins();
        let of = |values: &[&str]| logins.of(&cookies(values));
        let one = of(&["a=b", "c=d"]).unwrap();
        assert_eq!(one.cookies(), b"a=b; c=d");
        assert!(Arc::ptr_eq(&one, &of(&["a=b; c=d"]).unwrap()));
        assert!(!Arc::ptr_eq(&one, &of(&["a=b"]).unwrap()));
        assert!(of(&[]).is_none() && of(&[""]).is_none() && of(&[" "]).is_none());
    }

    fn known(logins: &Logins) -> usize {
        logins.lock().logins.len()
    }

    fn user(text: &str) -> UserId {
        UserId::try_new(text).unwrap()
    }

    fn answer(login: &Login, verdict: Verdict, at: u64) {
        assert!(login.on_answer(verdict, at, login.generation()));
    }

    #[test]
    fn logins_that_nobody_needs_are_forgotten() {
        let logins = logins();
        let of = |n: usize| logins.of(&cookies(&[&format!("a={n}")])).unwrap();
        let held = of(0);
        answer(&held, Verdict::No, 0);
        (1..3 * IDLE_MAX).for_each(|n| answer(&of(n), Verdict::Yes(user("7")), u64::MAX / 2));
        assert!(known(&logins) <= IDLE_MAX + 2, "{}", known(&logins));
        assert!(Arc::ptr_eq(&held, &of(0)));
    }

    #[test]
    fn cookies_that_nobody_needs_are_not_kept() {
        let logins = logins();
        let held = logins.of(&cookies(&["a=held"])).unwrap();
        answer(&logins.of(&cookies(&["a=good"])).unwrap(), Verdict::Yes(user("7")), u64::MAX / 2);
        drop(logins.of(&cookies(&["a=idle"])));
        assert_eq!((known(&logins), logins.due().len(), known(&logins)), (3, 0, 2));
        drop(held);
        assert_eq!((logins.due().len(), known(&logins)), (0, 1));
    }

    #[tokio::test]
    async fn a_site_that_is_known_to_be_away_is_asked_about_open_tabs_soon() {
        let logins = logins();
        let login = logins.of(&cookies(&["a=b"])).unwrap();
        let _stay = logins.enter(Arc::clone(&login), 1, Arc::default(), Some(user("7")));
        answer(&logins.site, Verdict::Away, u64::MAX / 2);
        login.is_due(u64::MAX / 4, 0);
        assert_eq!(logins.ask_anew(&login).await, Verdict::Away);
        assert!(login.is_due(logins.now() + AGAIN_WITHIN_MS, 0).is_some());
    }

    #[test]
    fn revoking_forgets_what_may_be_of_the_user() {
        let logins = logins();
        let of = |cookie| logins.of(&cookies(&[cookie])).unwrap();
        let (seven, eight, asked) = (of("a=7"), of("a=8"), of("a=?"));
        answer(&seven, Verdict::Yes(user("7")), 0);
        answer(&eight, Verdict::Yes(user("8")), 0);
        let _stays = (
            logins.enter(Arc::clone(&seven), 1, Arc::default(), Some(user("7"))),
            logins.enter(Arc::clone(&eight), 2, Arc::default(), Some(user("8"))),
        );
        let before = asked.generation();
        assert_eq!(logins.revoke(&user("7")), 1);
        assert_eq!((seven.owner(), eight.owner()), (None, Some(user("8"))));
        assert!(!asked.on_answer(Verdict::Yes(user("7")), 1, before), "it was asked before");
    }

    #[test]
    fn of_an_address_the_host_is_told() {
        for (location, told) in [
            ("https://sso.example/auth?state=secret", "https://sso.example"),
            ("https://sso.example?state=secret", "https://sso.example"),
            ("/users/login?x=/a/b", "/users/login"),
            ("/angular/a/secret", "/angular/a"),
        ] {
            assert_eq!(host_of(location), told);
        }
    }
}
