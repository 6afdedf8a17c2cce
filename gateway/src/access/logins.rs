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

use bellwire_common::fetch::{Answer, Client, FetchError, Terms, TrustError};
use bellwire_common::ids::UserId;
use bellwire_common::metrics::{GATEWAY_LOGIN_CHECK_SECONDS, GATEWAY_LOGIN_CHECKS, GATEWAY_OPENITCOCKPIT_AWAY};
use bellwire_common::settings::OpenItCockpit;

use super::login::Login;
use super::verdict::{self, Verdict};

/// What is asked (openITCOCKPIT facts, 6.3).
const PATH: &str = "/angular/push_configuration.json?angular=true&includeUser=true";
/// A page that is loaded waits no longer than this, and for as long again where it must be seen who is there at all.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Requests at one time: each keeps a process of openITCOCKPIT busy.
const CONCURRENCY: usize = 16;
/// Of these, so many to ask again about open tabs: those who come in must not wait for them.
const AGAIN_CONCURRENCY: usize = 4;
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// Logins that are remembered though no session is in by them.
const IDLE_MAX: usize = 4096;
/// How often it is looked whom to ask about again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
        let terms = Terms {
            timeout: TIMEOUT,
            concurrency: CONCURRENCY,
            answer_bytes_max: ANSWER_BYTES_MAX,
            ca: site.ca.clone(),
        };
        let client = |terms: &Terms| {
            if site.origin.starts_with("http://") { Ok(Client::plain(terms)) } else { Client::try_new(terms) }
        };
        Ok(Self {
            client: client(&terms)?,
            probe: client(&Terms { concurrency: 1, ..terms })?,
            url: format!("{}{PATH}", site.origin),
            recheck,
            started: Instant::now(),
            known: Mutex::default(),
            site: Login::new(b""),
            is_away: AtomicBool::new(false),
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
        Some(Arc::clone(known.logins.entry(hash).or_insert_with(|| Arc::new(Login::new(&cookies)))))
    }

    /// Whose login it is, as of the last seconds.
    pub(super) async fn ask(&self, login: &Login) -> Verdict {
        match login.fresh(self.now()) {
            Some(verdict) => verdict,
            None => self.ask_anew(login).await,
        }
    }

    /// When sessions that come in now are asked about again. Spread, because many may come at once.
    pub(super) fn due(&self) -> u64 {
        self.now() + self.spread(0.5)
    }

    /// Forgets what was said about this user, and ends the sessions of those logins; how many.
    pub(super) fn revoke(&self, user: &UserId) -> usize {
        let concerned: Vec<_> = self.lock().logins.values().filter(|login| login.is_of(user)).cloned().collect();
        concerned
            .iter()
            .map(|login| {
                login.forget();
                login.revoke(user)
            })
            .sum()
    }

    /// Asks again about the logins of open sessions, each at its time, for as long as it is polled.
    pub(super) async fn follow(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY.min(self.recheck));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = self.now();
            let all: Vec<_> = self.lock().logins.values().cloned().collect();
            let due = all.into_iter().filter(|login| login.is_due(now, self.spread(0.9)));
            let asked = |login: Arc<Login>| async move {
                self.ask_anew(&login).await;
            };
            stream::iter(due).for_each_concurrent(AGAIN_CONCURRENCY, asked).await;
        }
    }

    async fn ask_anew(&self, login: &Login) -> Verdict {
        let since = self.now();
        if let Some(away @ Verdict::Away) = self.site.fresh(since) {
            return away;
        }
        let _turn = login.asking.lock().await;
        if let Some(verdict) = login.since(since) {
            return verdict;
        }
        let begin = Instant::now();
        let asked = self.client.get(&self.url, &[("cookie", login.cookies()), ("accept", b"application/json")]).await;
        GATEWAY_LOGIN_CHECK_SECONDS.with(&[]).record(begin.elapsed());
        let verdict = match &asked {
            Ok(answer) => Verdict::of(answer.status, &answer.body),
            Err(_) => Verdict::Unclear,
        };
        let verdict = if verdict == Verdict::Unclear { self.unclear(asked).await } else { verdict };
        if !matches!(verdict, Verdict::Unclear | Verdict::Away) {
            self.is_there();
        }
        GATEWAY_LOGIN_CHECKS.count(&[label(&verdict)]);
        login.on_answer(verdict.clone(), self.now());
        verdict
    }

    /// Whether it is because openITCOCKPIT is away that there is no answer of use.
    async fn unclear(&self, asked: Result<Answer, FetchError>) -> Verdict {
        match asked {
            Ok(answer) => debug!(status = answer.status, "no answer of use to a login check"),
            Err(error) => debug!(%error, "no answer to a login check"),
        }
        let _turn = self.site.asking.lock().await;
        if let Some(verdict) = self.site.fresh(self.now()) {
            return as_of_site(verdict);
        }
        let verdict = match self.probe.get(&self.url, &[("accept", b"application/json")]).await {
            Ok(answer) if verdict::is_there(answer.status) => {
                self.is_there();
                Verdict::No
            }
            Ok(answer) => self.is_away(&format!("status {}", answer.status)),
            Err(error) => self.is_away(&error.to_string()),
        };
        self.site.on_answer(verdict.clone(), self.now());
        as_of_site(verdict)
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
        let time = self.recheck.mul_f64(least + (1.0 - least) * fastrand::f64());
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
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
        // Under the lock of this map nobody can take another hold of one.
        let is_held = |login: &Arc<Login>| Arc::strong_count(login) > 1;
        self.logins.retain(|_, login| is_held(login) || login.fresh(now).is_some());
        let held = self.logins.values().filter(|login| is_held(login)).count();
        if self.logins.len() - held >= IDLE_MAX {
            self.logins.retain(|_, login| is_held(login));
        }
        self.sweep_at = self.logins.len() + IDLE_MAX;
    }
}

fn as_of_site(verdict: Verdict) -> Verdict {
    if verdict == Verdict::Away { Verdict::Away } else { Verdict::Unclear }
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

    #[test]
    fn logins_that_nobody_needs_are_forgotten() {
        let logins = logins();
        let of = |n: usize| logins.of(&cookies(&[&format!("a={n}")])).unwrap();
        let held = of(0);
        held.on_answer(Verdict::No, 0);
        (1..3 * IDLE_MAX).for_each(|n| of(n).on_answer(Verdict::Yes(UserId::try_new("7").unwrap()), u64::MAX / 2));
        assert!(logins.lock().logins.len() <= IDLE_MAX + 2, "{}", logins.lock().logins.len());
        assert!(Arc::ptr_eq(&held, &of(0)));
    }
}
