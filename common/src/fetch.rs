//! The HTTP client: openITCOCKPIT's login check, key sets, the mobile relay.
//!
//! One request at a time in a thread of its own, as many as were allowed; others wait their turn.
//! No proxy, no redirect, no cookie of its own: what is sent is what was given, to the address that was given.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};

/// How much later than a request itself whoever waits for it gives up.
const GRACE: Duration = Duration::from_millis(500);

/// What a [`Client`] may take.
#[derive(Debug, Clone)]
pub struct Terms {
    /// From the call to the whole answer, the wait for a turn included; of [`Client::post`], from its turn.
    pub timeout: Duration,
    /// Requests at one time.
    pub concurrency: usize,
    /// Largest answer, in bytes.
    pub answer_bytes_max: u64,
    /// Authorities in PEM form that count instead of the system's.
    pub ca: Option<String>,
}

/// See the module. Clones share connections and turns.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    turns: Arc<Semaphore>,
    timeout: Duration,
    answer_bytes_max: u64,
}

/// A certificate that says who asks, with those between and its key.
#[derive(Clone)]
pub struct Identity(ClientCert);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
    /// Where a redirect leads.
    pub location: Option<String>,
}

/// Why nothing came back. Never quotes what was sent.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The body is larger than [`Terms::answer_bytes_max`].
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    /// Somebody is there whose certificate is not trusted, or is another name's.
    #[error("{0}")]
    Untrusted(String),
    /// The address, the name, the connection, TLS or HTTP failed.
    #[error("{0}")]
    Failed(String),
}

/// Why there can be no [`Client`].
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The PEM text holds no certificate that can be used.
    #[error("no usable certificate: {0}")]
    Pem(String),
    /// The system has no authorities.
    #[error("this system trusts no authority (install ca-certificates, or name a CA file)")]
    NoSystem,
}

impl Client {
    /// A client that trusts the given authorities, or the system's.
    pub fn try_new(terms: &Terms) -> Result<Self, TrustError> {
        Self::try_new_as(None, terms)
    }

    /// The same; servers that ask who it is are shown `identity`.
    pub fn try_new_as(identity: Option<Identity>, terms: &Terms) -> Result<Self, TrustError> {
        let roots = match &terms.ca {
            Some(pem) => of_pem(pem)?,
            None => of_system()?,
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .client_cert(identity.map(|Identity(shown)| shown))
            .build();
        Ok(Self::with(tls, terms))
    }

    /// A client for this address: [`Client::plain`] where nothing is encrypted.
    pub fn to(url: &str, terms: &Terms) -> Result<Self, TrustError> {
        if url.starts_with("http://") { Ok(Self::plain(terms)) } else { Self::try_new(terms) }
    }

    /// A client for `http://` alone: it trusts nobody, and needs no authorities on this system.
    #[must_use]
    pub fn plain(terms: &Terms) -> Self {
        Self::with(TlsConfig::builder().root_certs(RootCerts::from(Vec::new())).build(), terms)
    }

    /// A client for a node's admin server, whose certificate is for the name that others use: who answers at the address
    /// is believed, with TLS as without. Nothing secret may be sent with it.
    #[must_use]
    pub fn believing(terms: &Terms) -> Self {
        Self::with(TlsConfig::builder().disable_verification(true).build(), terms)
    }

    fn with(tls: TlsConfig, terms: &Terms) -> Self {
        let config = Agent::config_builder()
            // An alarm must not depend on what the environment says.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(terms.timeout))
            .max_idle_connections_per_host(terms.concurrency)
            .user_agent(concat!("bellwire/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self {
            agent: config.new_agent(),
            turns: Arc::new(Semaphore::new(terms.concurrency)),
            timeout: terms.timeout,
            answer_bytes_max: terms.answer_bytes_max,
        }
    }

    /// Asks for `url`, with these headers.
    pub async fn get(&self, url: &str, headers: &[(&str, &[u8])]) -> Result<Answer, FetchError> {
        self.get_dated(url, headers).await.map(|(answer, _)| answer)
    }

    /// The same, with what the server's clock says (`Date`), if it says so.
    pub async fn get_dated(
        &self,
        url: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<(Answer, Option<String>), FetchError> {
        let request = headers.iter().fold(self.agent.get(url), |request, (name, value)| request.header(*name, *value));
        let deadline = Instant::now() + self.timeout;
        let turn = timeout_at(deadline, self.turn()).await.map_err(|_| FetchError::Timeout(self.timeout))?;
        let call = move |left| request.config().timeout_global(Some(left)).build().call();
        self.run(turn, deadline, call).await
    }

    /// Sends `body` to `url`, with these headers. Waits for its turn for as long as it takes, and has its full time from then
    /// on: one that is given up is no longer on its way, so that sending it again does not send it twice.
    pub async fn post(&self, url: &str, headers: &[(&str, &[u8])], body: Vec<u8>) -> Result<Answer, FetchError> {
        let request = headers.iter().fold(self.agent.post(url), |request, (name, value)| request.header(*name, *value));
        let turn = self.turn().await;
        let call = move |left| request.config().timeout_global(Some(left)).build().send(body);
        self.run(turn, Instant::now() + self.timeout, call).await.map(|(answer, _)| answer)
    }

    /// What sends, for a thread that may wait: turns and the bound of an answer are its own matter.
    #[cfg(feature = "otlp")]
    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// None if there will be none, which does not happen: nobody closes them.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// `call` is told how much time is left for it.
    async fn run(
        &self,
        turn: Option<OwnedSemaphorePermit>,
        deadline: Instant,
        call: impl FnOnce(Duration) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> + Send + 'static,
    ) -> Result<(Answer, Option<String>), FetchError> {
        let late = || FetchError::Timeout(self.timeout);
        let max = self.answer_bytes_max;
        let asked = tokio::task::spawn_blocking(move || {
            // Whoever gives up waiting leaves the request behind: its turn lasts as long as it does.
            let _turn = turn;
            // A thread may come late as well.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let mut response = call(left)?;
            let body = response.body_mut().with_config().limit(max).read_to_vec()?;
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let (date, location) = (header("date"), header("location"));
            Ok((Answer { status: response.status().as_u16(), body, location }, date))
        });
        // The request ends by its own time; this is for one that does not.
        let answered = timeout_at(deadline + GRACE, asked).await.map_err(|_| late())?;
        answered.map_err(|error| FetchError::Failed(error.to_string()))?.map_err(|error: ureq::Error| match error {
            ureq::Error::Timeout(_) => late(),
            ureq::Error::BodyExceedsLimit(max) => FetchError::TooLarge(max),
            other if is_of_certificate(&other) => FetchError::Untrusted(other.to_string()),
            other => FetchError::Failed(other.to_string()),
        })
    }
}

impl From<ClientCert> for Identity {
    /// Certificate and key must belong together: a client would panic over others.
    fn from(shown: ClientCert) -> Self {
        Self(shown)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn is_of_certificate(error: &ureq::Error) -> bool {
    let found = match error {
        ureq::Error::Rustls(error) => Some(error),
        // It comes while the connection is made, and so as an error of reading or writing.
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    matches!(found, Some(rustls::Error::InvalidCertificate(_)))
}

fn of_pem(pem: &str) -> Result<Vec<Certificate<'static>>, TrustError> {
    let wrong = |error: ureq::Error| TrustError::Pem(error.to_string());
    let items = parse_pem(pem.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let certificates: Vec<_> =
        items.into_iter().filter_map(|item| if let PemItem::Certificate(c) = item { Some(c) } else { None }).collect();
    if certificates.is_empty() { Err(TrustError::Pem("there is none".into())) } else { Ok(certificates) }
}

fn of_system() -> Result<Vec<Certificate<'static>>, TrustError> {
    // A single one that cannot be read is no reason to trust none.
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return Err(TrustError::NoSystem);
    }
    Ok(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};

    use super::*;

    fn terms() -> Terms {
        Terms { timeout: Duration::from_secs(10), concurrency: 2, answer_bytes_max: 64, ca: None }
    }

    async fn served(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn it_sends_what_it_was_given_and_follows_nobody() {
        let seen = |headers: HeaderMap| async move { format!("{:?}", headers.get("cookie")) };
        let moved = || async { (StatusCode::FOUND, [("location", "/seen")]) };
        let echo = |body: String| async move { (StatusCode::GONE, body) };
        let router = Router::new().route("/seen", get(seen)).route("/moved", get(moved)).route("/echo", post(echo));
        let (url, client) = (served(router).await, Client::try_new(&terms()).unwrap());
        let answer = client.get(&format!("{url}/seen"), &[("cookie", b"a=b\xff")]).await.unwrap();
        assert_eq!((answer.status, answer.body), (200, br#"Some("a=b\xff")"#.to_vec()));
        let moved = client.get(&format!("{url}/moved"), &[]).await.unwrap();
        assert_eq!((moved.status, moved.location.as_deref()), (302, Some("/seen")));
        let answer = client.post(&format!("{url}/echo"), &[], b"x".to_vec()).await.unwrap();
        assert_eq!((answer.status, &*answer.body), (410, &b"x"[..]));
        let (_, date) = Client::plain(&terms()).get_dated(&format!("{url}/seen"), &[]).await.unwrap();
        assert!(date.unwrap().ends_with(" GMT"));
    }

    #[tokio::test]
    async fn a_long_answer_and_a_slow_one_are_given_up() {
        let router = Router::new()
            .route("/long", get(|| async { "x".repeat(65) }))
            .route("/slow", get(std::future::pending::<String>));
        let url = served(router).await;
        let client = Client::try_new(&terms()).unwrap();
        assert!(matches!(client.get(&format!("{url}/long"), &[]).await, Err(FetchError::TooLarge(64))));
        let hasty = Client::try_new(&Terms { timeout: Duration::from_millis(50), ..terms() }).unwrap();
        assert!(matches!(hasty.get(&format!("{url}/slow"), &[]).await, Err(FetchError::Timeout(_))));
        let nobody = client.get("http://127.0.0.1:1/", &[]).await;
        assert!(matches!(nobody, Err(FetchError::Failed(_))), "{nobody:?}");
    }

    #[tokio::test]
    async fn what_was_sent_is_not_given_up_for_the_wait_before_it() {
        let (seen, mut count) = tokio::sync::watch::channel(0);
        let take = move || {
            seen.send_modify(|count| *count += 1);
            // The first never gets an answer.
            let is_first = *seen.borrow() == 1;
            async move { if is_first { std::future::pending().await } else { "taken" } }
        };
        let url = served(Router::new().route("/", post(take))).await;
        let terms = Terms { timeout: Duration::from_secs(1), concurrency: 1, ..terms() };
        let client = Client::plain(&terms);
        let (first, address) = (client.clone(), url.clone());
        let first = tokio::spawn(async move { first.post(&address, &[], Vec::new()).await });
        count.wait_for(|&count| count == 1).await.unwrap();
        let second = client.post(&url, &[], Vec::new()).await;
        assert!(matches!(first.await.unwrap(), Err(FetchError::Timeout(_))));
        assert_eq!(second.unwrap().body, b"taken");
        assert_eq!(*count.borrow(), 2);
    }

    #[test]
    fn a_text_without_certificates_is_no_trust() {
        let terms = Terms { ca: Some("nothing".into()), ..terms() };
        assert!(matches!(Client::try_new(&terms), Err(TrustError::Pem(_))));
    }
}
