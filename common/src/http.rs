//! The HTTP/1.1 server under ingest, gateway and admin: connections, their limits, their end.
//!
//! One task per connection until it is answered or upgraded. What a connection holds here is bounded by
//! [`Limits`]; after an upgrade all of it is freed and the upgraded socket is its taker's business.

mod listen;
mod problem;
mod tls;
mod waiting;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::rt::Timer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::{debug, warn};

pub use listen::{Listeners, Reserved, bind, reserve};
pub use problem::{problem, problem_with};
pub use tls::{CERTIFICATE_ENDS_SOON, ClientCertificate, SPEAKS_TLS, Tls, TlsError, TlsWatch};
pub use waiting::Place;
pub use wire::Traffic;

use crate::metrics;
use tls::Failed;
use waiting::{HeadTimer, Places, Waiting};
use wire::{Stream, Timed, Wire};

/// First and longest pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a connection that was accepted may send its first request after the shutdown began, but at most half of
/// the grace. Its client could not know, and does not expect a connection to end that it has just been given. Enough for
/// the slowest way there and back.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_millis(500);

/// Who is at the other end of the connection; each request carries it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The address of this machine that the connection came to; beside [`Peer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own(pub SocketAddr);

/// What connections may cost, until they are upgraded.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest request head in bytes (16 KiB: a cookie header of the usual proxies' 8 KiB, and the rest). A
    /// larger one is answered with 431. At least 8192, hyper's smallest buffer.
    pub head_bytes_max: usize,
    /// Most header lines; more are answered with 431.
    pub headers_max: usize,
    /// Time from the connection to its first complete request head, with the handshake of TLS.
    pub head_timeout: Duration,
    /// Time from one answer to the next complete request head. Longer than the 60 s for which proxies keep idle
    /// connections, so that they do not send a request into one that is being closed.
    pub idle_timeout: Duration,
    /// So long may an answer wait to be taken without any progress.
    pub write_timeout: Duration,
    /// Connections that are not upgraded, at one time. For one more, the one ends that has waited longest for a request
    /// head; when all have requests in progress, it waits, and those behind it wait in the kernel's queue.
    pub connections_max: usize,
    /// How long requests in progress may go on after the shutdown began.
    pub grace: Duration,
    /// Called once for each connection that never sent a complete request head, in time or before others needed its
    /// place.
    pub on_head_timeout: fn(),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            headers_max: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            connections_max: 4096,
            grace: Duration::from_secs(5),
            on_head_timeout: || {},
        }
    }
}

/// Accepts and serves until `shutdown`; then closes idle connections, lets requests in progress (and those that new
/// connections are about to send) end within [`Limits::grace`], and returns how many had to be cut. Accept errors never
/// end it. With `tls` each connection begins with a handshake, for which the limits of a request head hold.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) -> usize {
    let places = Places::new(limits.connections_max);
    let (http, waiting, cut) = (builder(&limits), places.waiting(), CancellationToken::new());
    let server = Server { router, limits, tls, http, waiting, shutdown, cut };
    let connections = TaskTracker::new();
    let mut pause = ACCEPT_PAUSE_MIN;
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = ACCEPT_PAUSE_MIN;
                // One that is accepted is served also at the end.
                let place = Place::new(server.shutdown.run_until_cancelled(places.take()).await.flatten());
                let server = server.clone();
                connections.spawn(async move {
                    server.connection(stream, peer, place.clone()).await;
                    place.give_up();
                });
            }
            Err(error) if is_one_connections_own(&error) => debug!(%error, "connection ended before it was accepted"),
            Err(error) => {
                metrics::HTTP_ACCEPT_ERRORS.count(&[]);
                warn!(%error, pause_ms = pause.as_millis(), "cannot accept connections");
                tokio::select! {
                    () = server.shutdown.cancelled() => break,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(ACCEPT_PAUSE_MAX),
                }
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.grace, connections.wait()).await.is_ok() {
        return 0;
    }
    let cut = connections.len();
    server.cut.cancel();
    connections.wait().await;
    cut
}

fn is_one_connections_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A proxy that takes any answer to an upgrade for a yes passes on whatever the client sends then, unseen. It must not be
/// taken for more requests: they would come from the proxy's address, as if it had made them.
fn last_unless_upgraded(mut answer: Response) -> Response {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.max_buf_size(limits.head_bytes_max).max_headers(limits.headers_max).header_read_timeout(limits.head_timeout);
    http
}

#[derive(Clone)]
struct Server {
    router: Router,
    limits: Limits,
    tls: Option<Tls>,
    http: http1::Builder,
    waiting: Arc<Waiting>,
    shutdown: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    async fn connection(self, stream: TcpStream, peer: SocketAddr, place: Place) {
        // Small frames must not wait for the acknowledgement of earlier ones.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection ended before it was served");
            return;
        }
        let own = stream.local_addr().ok().map(Own);
        let traffic = Traffic::default();
        let first_by = Instant::now() + self.limits.head_timeout;
        let wire = Timed { stream, traffic: traffic.clone(), write_timeout: self.limits.write_timeout, stuck: None };
        let Some((stream, certificate)) = self.secure(wire, first_by).await else { return };
        let shared = traffic.clone();
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        let router = self.router.clone();
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            seen.store(true, Ordering::Relaxed);
            let extensions = request.extensions_mut();
            extensions.insert(Peer(peer));
            own.and_then(|own| extensions.insert(own));
            certificate.and_then(|certificate| extensions.insert(certificate));
            extensions.insert(shared.clone());
            extensions.insert(place.clone());
            let wants_upgrade = request.headers().contains_key(header::UPGRADE);
            // A `Router` is always ready.
            let answer = router.clone().call(request);
            async move { answer.await.map(|answer| if wants_upgrade { last_unless_upgraded(answer) } else { answer }) }
        });
        let mut http = self.http.clone();
        http.timer(HeadTimer {
            waiting: Arc::clone(&self.waiting),
            asked: Arc::clone(&asked),
            idle_extra: self.limits.idle_timeout.saturating_sub(self.limits.head_timeout),
            first_by,
        });
        let shutdown = async {
            self.shutdown.cancelled().await;
            if !asked.load(Ordering::Relaxed) {
                tokio::time::sleep(self.first_within()).await;
            }
        };
        let io = TokioIo::new(Wire { stream, traffic });
        let mut connection = std::pin::pin!(http.serve_connection(io, service).with_upgrades());
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = shutdown => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    ended = connection => ended,
                    () = self.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            if error.is_timeout() && !asked.load(Ordering::Relaxed) {
                (self.limits.on_head_timeout)();
            }
            debug!(%error, "connection ended with an error");
        }
    }

    fn first_within(&self) -> Duration {
        FIRST_REQUEST_WITHIN.min(self.limits.grace / 2)
    }

    /// TLS, if there is to be any. None when the connection is over: its handshake failed, was not complete by `first_by`,
    /// or gave way to others as a request head does.
    async fn secure(&self, wire: Timed, first_by: Instant) -> Option<(Stream, Option<ClientCertificate>)> {
        let Some(tls) = &self.tls else { return Some((Stream::Plain(wire), None)) };
        let wait = Arc::clone(&self.waiting).join(TokioTimer::new().sleep_until(first_by));
        let shutdown = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.first_within()).await;
        };
        let failed = tokio::select! {
            biased;
            shaken = tls.shake(wire) => match shaken {
                Ok((stream, certificate)) => return Some((Stream::Tls(Box::new(stream)), certificate)),
                Err((failed, error)) => {
                    debug!(%error, reason = failed.label(), "no TLS handshake");
                    failed
                }
            },
            () = wait => {
                (self.limits.on_head_timeout)();
                Failed::Timeout
            }
            () = shutdown => return None,
        };
        metrics::HTTP_TLS_HANDSHAKES_FAILED.count(&[failed.label()]);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Instant;

    use axum::Extension;
    use axum::routing::get;
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        served: JoinHandle<usize>,
    }

    fn start(router: Router, limits: Limits) -> Running {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, router, limits, None, shutdown.clone()));
        Running { address, shutdown, served }
    }

    fn short(on_head_timeout: fn()) -> Limits {
        Limits {
            head_timeout: Duration::from_millis(50),
            idle_timeout: Duration::from_secs(2),
            grace: Duration::from_millis(50),
            on_head_timeout,
            ..Limits::default()
        }
    }

    fn hello() -> Router {
        let ends = |Extension(Peer(peer)): Extension<Peer>, Extension(Own(own)): Extension<Own>| async move {
            format!("{own} {peer}")
        };
        Router::new().route("/", get(ends))
    }

    async fn read_to_end(mut stream: TcpStream) -> String {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn until(stream: &mut TcpStream, end: &str) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            answer.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_request_carries_both_ends_of_its_connection() {
        let server = start(hello(), Limits::default());
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let me = format!("{} {}", server.address, stream.local_addr().unwrap());
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let answer = read_to_end(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&me), "{answer}");
    }

    #[tokio::test]
    async fn what_follows_an_upgrade_that_is_refused_is_no_request() {
        let server = start(hello(), Limits::default());
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\n";
        let both = format!("GET / HTTP/1.1\r\nhost: x\r\n{upgrade}\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(both.as_bytes()).await.unwrap();
        let answer = read_to_end(stream).await;
        assert!(answer.matches("HTTP/1.1").count() == 1 && answer.contains("connection: close\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_over_the_limit_is_refused() {
        let server = start(hello(), Limits::default());
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let cookie = "c".repeat(Limits::default().head_bytes_max);
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\n\r\n");
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
    }

    #[tokio::test]
    async fn an_incomplete_head_ends_after_its_time_and_is_told() {
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        let on_head_timeout = || {
            TOLD.fetch_add(1, Ordering::Relaxed);
        };
        let server = start(hello(), short(on_head_timeout));
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        let begun = Instant::now();
        read_to_end(stream).await;
        assert!(begun.elapsed() < short(|| {}).idle_timeout, "{:?}", begun.elapsed());
        server.shutdown.cancel();
        server.served.await.unwrap();
        assert_eq!(TOLD.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_idle_connection_stays_longer_than_a_proxy_keeps_it() {
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        let on_head_timeout = || {
            TOLD.fetch_add(1, Ordering::Relaxed);
        };
        let server = start(hello(), short(on_head_timeout));
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let me = stream.local_addr().unwrap().to_string();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        until(&mut stream, &me).await;
        let begun = Instant::now();
        read_to_end(stream).await;
        // hyper began to wait a moment before the answer was here.
        assert!(begun.elapsed() > short(|| {}).idle_timeout / 2, "{:?}", begun.elapsed());
        assert_eq!(TOLD.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_end_waits_for_requests_and_closes_the_idle() {
        let (entered, mut has_entered) = tokio::sync::mpsc::channel(1);
        let go_on = Arc::new(tokio::sync::Notify::new());
        let release = Arc::clone(&go_on);
        let router = hello().route(
            "/slow",
            get(move || async move {
                entered.send(()).await.unwrap();
                go_on.notified().await;
                "done"
            }),
        );
        let server = start(router, Limits::default());
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        ask(&mut idle).await;
        let mut slow = TcpStream::connect(server.address).await.unwrap();
        slow.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        has_entered.recv().await.unwrap();
        server.shutdown.cancel();
        assert_eq!(read_to_end(idle).await, "");
        release.notify_one();
        let answer = read_to_end(slow).await;
        assert!(answer.ends_with("done"), "{answer}");
        assert_eq!(server.served.await.unwrap(), 0);
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn whose_connection_was_just_accepted_is_answered_at_the_end() {
        let server = start(hello(), Limits::default());
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // Accepted behind it.
        ask(&mut TcpStream::connect(server.address).await.unwrap()).await;
        server.shutdown.cancel();
        // The listener is gone when the shutdown has begun.
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        ask(&mut stream).await;
        assert_eq!(read_to_end(stream).await, "");
        assert_eq!(server.served.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_does_not_end_is_cut_and_counted() {
        let (entered, mut has_entered) = tokio::sync::mpsc::channel(1);
        let router = Router::new().route(
            "/",
            get(move || async move {
                entered.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }),
        );
        let server = start(router, short(|| {}));
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        has_entered.recv().await.unwrap();
        server.shutdown.cancel();
        assert_eq!(server.served.await.unwrap(), 1);
    }

    /// Sends a request on a connection that stays open, and reads the answer.
    async fn ask(stream: &mut TcpStream) {
        let me = stream.local_addr().unwrap().to_string();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        until(stream, &me).await;
    }

    #[tokio::test]
    async fn who_asks_much_and_reads_nothing_does_not_stay() {
        const ANSWER_BYTES: usize = 64 * 1024;
        let large = hello().route("/large", get(|| async { "x".repeat(ANSWER_BYTES) }));
        let write_timeout = Duration::from_millis(50);
        let server = start(large, Limits { connections_max: 1, write_timeout, ..Limits::default() });
        let mut greedy = TcpStream::connect(server.address).await.unwrap();
        let requests = "GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
        greedy.write_all(requests.as_bytes()).await.unwrap();
        ask(&mut TcpStream::connect(server.address).await.unwrap()).await;
        drop(greedy);
    }

    #[tokio::test]
    async fn slow_heads_give_way_the_longest_first_and_are_told() {
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        let on_head_timeout = || {
            TOLD.fetch_add(1, Ordering::Relaxed);
        };
        let server = start(hello(), Limits { connections_max: 3, on_head_timeout, ..Limits::default() });
        let mut slow = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
            slow.push(stream);
        }
        let begun = Instant::now();
        ask(&mut TcpStream::connect(server.address).await.unwrap()).await;
        let mut left = slow.split_off(18);
        for stream in slow {
            assert_eq!(read_to_end(stream).await, "");
        }
        assert!(begun.elapsed() < Limits::default().head_timeout, "{:?}", begun.elapsed());
        for stream in &mut left {
            let me = stream.local_addr().unwrap().to_string();
            stream.write_all(b" x\r\n\r\n").await.unwrap();
            until(stream, &me).await;
        }
        assert_eq!(TOLD.load(Ordering::Relaxed), 18);
    }

    #[tokio::test]
    async fn idle_connections_give_way_the_longest_idle_first() {
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        let on_head_timeout = || {
            TOLD.fetch_add(1, Ordering::Relaxed);
        };
        let server = start(hello(), Limits { connections_max: 2, on_head_timeout, ..Limits::default() });
        let mut busier = TcpStream::connect(server.address).await.unwrap();
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        for stream in [&mut busier, &mut idle] {
            ask(stream).await;
        }
        ask(&mut busier).await;
        let mut third = TcpStream::connect(server.address).await.unwrap();
        ask(&mut third).await;
        assert_eq!(read_to_end(idle).await, "");
        ask(&mut busier).await;
        ask(&mut third).await;
        server.shutdown.cancel();
        server.served.await.unwrap();
        assert_eq!(TOLD.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn requests_in_progress_keep_their_place_until_they_are_answered() {
        let (entered, mut has_entered) = tokio::sync::mpsc::channel(1);
        let go_on = Arc::new(tokio::sync::Notify::new());
        let release = Arc::clone(&go_on);
        let slow = get(move || async move {
            entered.send(()).await.unwrap();
            go_on.notified().await;
            "done"
        });
        let server = start(hello().route("/slow", slow), Limits { connections_max: 1, ..Limits::default() });
        let mut first = TcpStream::connect(server.address).await.unwrap();
        first.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        has_entered.recv().await.unwrap();
        let mut second = TcpStream::connect(server.address).await.unwrap();
        let mut asking = std::pin::pin!(ask(&mut second));
        // Nothing says that the server has seen the second one and left it alone.
        let patience = Duration::from_millis(100);
        assert!(tokio::time::timeout(patience, asking.as_mut()).await.is_err(), "there was a second place");
        release.notify_one();
        let answer = until(&mut first, "done").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        asking.await;
        assert_eq!(read_to_end(first).await, "");
    }

    #[tokio::test]
    async fn an_answer_that_gave_up_its_place_keeps_nobody_out_and_outlives_all_limits() {
        let stuck = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stuck);
        let go_on = Arc::new(tokio::sync::Notify::new());
        let release = Arc::clone(&go_on);
        let long = get(move |Extension(place): Extension<Place>, Extension(traffic): Extension<Traffic>| async move {
            place.give_up();
            let rest = async move {
                go_on.notified().await;
                seen.store(traffic.is_stuck(), Ordering::Relaxed);
                Ok::<_, io::Error>("end")
            };
            let parts = futures_util::stream::once(async { Ok("begin ") }).chain(futures_util::stream::once(rest));
            axum::body::Body::from_stream(parts)
        });
        let (short, limits) = (short(|| {}), Limits::default());
        let write_timeout = short.head_timeout;
        let limits = Limits { connections_max: 1, write_timeout, idle_timeout: write_timeout, ..limits };
        let server = start(hello().route("/long", long), limits);
        let mut first = TcpStream::connect(server.address).await.unwrap();
        first.write_all(b"GET /long HTTP/1.0\r\nhost: x\r\n\r\n").await.unwrap();
        until(&mut first, "begin ").await;
        for _ in 0..3 {
            ask(&mut TcpStream::connect(server.address).await.unwrap()).await;
        }
        // No event tells that a limit has not been kept.
        tokio::time::sleep(3 * write_timeout).await;
        release.notify_one();
        assert_eq!(read_to_end(first).await, "end");
        assert!(!stuck.load(Ordering::Relaxed));
    }
}
