//! Event streams, over HTTP as it is on the wire.

use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http::{self, Response, request};
use bellwire_testkit::tab::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::*;

const QUERY: &str = "user=7&browser=b";

/// A client's end of a stream. It asks in HTTP/1.0, as proxies do, so that the body comes without chunks.
struct Events {
    lines: BufReader<TcpStream>,
    address: SocketAddr,
    head: String,
    session: String,
    token: String,
}

impl Events {
    async fn open(node: &Node, query: &str, headers: &str) -> Self {
        Self::open_on(TcpStream::connect(node.address).await.expect("connected"), query, headers).await
    }

    async fn open_on(mut stream: TcpStream, query: &str, headers: &str) -> Self {
        let address = stream.peer_addr().expect("connected");
        let head = format!("GET /events?{query} HTTP/1.0\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.expect("written");
        let (session, token, head) = (String::new(), String::new(), String::new());
        let mut events = Self { lines: BufReader::new(stream), address, head, session, token };
        while !events.head.ends_with("\r\n\r\n") {
            assert!(events.lines.read_line(&mut events.head).await.expect("a head") > 0, "{}", events.head);
        }
        assert!(events.head.starts_with("HTTP/1.0 200"), "{}", events.head);
        let welcome = events.until("welcome").await;
        events.session = welcome["session"].as_str().expect("a session").to_owned();
        events.token = welcome["token"].as_str().expect("a token").to_owned();
        events
    }

    /// The next event, with its id; none at the end.
    async fn next(&mut self) -> Option<(Option<String>, Value)> {
        let (mut id, mut data) = (None, String::new());
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.lines.read_line(&mut line)).await.expect("an event in time");
            if read.expect("a line") == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data += value,
                None if !data.is_empty() => return Some((id, serde_json::from_str(&data).expect("JSON"))),
                _ => {}
            }
        }
    }

    /// The next message of this `op`; what comes before it is passed over, but no notification.
    async fn until(&mut self, op: &str) -> Value {
        loop {
            let (_, message) = self.next().await.unwrap_or_else(|| panic!("the stream ended before {op}"));
            if message["op"] == op {
                return message;
            }
            assert_ne!(message["op"], "notification", "{message}");
        }
    }

    /// Title and cursor of the next notification.
    async fn shown(&mut self) -> (String, String) {
        let (id, message) = self.notification().await;
        assert_eq!(id.as_deref(), message["cursor"].as_str(), "the event's id is the cursor");
        (message["title"].as_str().expect("a title").to_owned(), id.expect("an id"))
    }

    /// The next notification, and the event's id.
    async fn notification(&mut self) -> (Option<String>, Value) {
        loop {
            let (id, message) = self.next().await.expect("the stream ended before a notification");
            if message["op"] == "notification" {
                return (id, message);
            }
            assert_eq!(id, None, "{message}");
        }
    }

    async fn say(&self, say: Value) -> Response {
        let body = json!({ "session": self.session, "token": self.token, "say": say });
        post(self.address, &[], body.to_string().as_bytes()).await
    }

    async fn acknowledge(&mut self, cursor: &str) {
        assert_eq!(self.say(json!({ "op": "ack", "cursor": cursor })).await.status, 204);
        // What is said is heard in order: the answer says that the acknowledgement was taken.
        assert_eq!(self.say(json!({ "op": "ping" })).await.status, 204);
        self.until("pong").await;
    }
}

async fn asked(node: &Node, query: &str, headers: &[(&str, &str)]) -> Response {
    request(node.address, "GET", &format!("/events?{query}"), headers, b"").await.expect("an answer")
}

/// Says something with the right key and type, unless `headers` have others.
async fn post(address: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let bearer = format!("Bearer {KEY}");
    let mut all = headers.to_vec();
    for (name, value) in [("authorization", bearer.as_str()), ("content-type", "application/json")] {
        if !headers.iter().any(|(given, _)| *given == name) {
            all.push((name, value));
        }
    }
    request(address, "POST", "/events", &all, body).await.expect("an answer")
}

async fn no_session(node: &Node) {
    let none = || async { Ok((node.gateway.sessions() == 0).then_some(())) };
    eventually("the end of the session", PATIENCE, none).await.expect("ended");
}

fn is_problem(answer: &Response, status: u16, field: Option<&str>) {
    assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")));
    let problem = answer.json().expect("JSON");
    assert_eq!(problem["status"], status);
    assert_eq!(problem.pointer("/errors/0/field").and_then(Value::as_str), field, "{problem}");
}

#[tokio::test]
async fn a_stream_brings_what_is_sent_to_the_user() {
    let log = log();
    let node = Node::start(&log).await;
    let mut tab = Events::open(&node, QUERY, "").await;
    for line in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store\r\n",
        "x-accel-buffering: no\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(tab.head.contains(line), "{}", tab.head);
    }
    assert_eq!(tab.token.len(), 32);
    tab.until("ping").await;
    send(&log, "7", "n1").await;
    send(&log, "8", "other").await;
    send(&log, "7", "n2").await;
    assert_eq!((tab.shown().await.0, tab.shown().await.0), ("n1".to_owned(), "n2".to_owned()));
    assert_eq!(tab.say(json!({ "op": "test", "title": "asked" })).await.status, 204);
    assert_eq!(tab.shown().await.0, "asked");
    drop(tab);
    no_session(&node).await;
}

#[tokio::test]
async fn a_stream_comes_in_chunks_to_who_knows_them() {
    let node = Node::start(&log()).await;
    let mut stream = TcpStream::connect(node.address).await.expect("connected");
    let head = format!("GET /events?{QUERY} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    while !answer.windows(9).any(|bytes| bytes == b"\"welcome\"") {
        answer.push(stream.read_u8().await.expect("more"));
    }
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.contains("transfer-encoding: chunked\r\n") && answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains("\r\nretry: 3000\n: bellwire.v1\n\ndata: {"), "{answer}");
}

#[tokio::test]
async fn who_says_nothing_goes_on_behind_the_last_event_id() {
    let log = log();
    let node = Node::start(&log).await;
    let mut first = Events::open(&node, QUERY, "").await;
    for title in ["n1", "n2", "n3"] {
        send(&log, "7", title).await;
    }
    let (_, one) = first.shown().await;
    let (_, two) = first.shown().await;
    drop(first);
    no_session(&node).await;
    let mut anew = Events::open(&node, QUERY, "").await;
    assert_eq!(anew.shown().await.0, "n1", "nothing has said that it was shown");
    drop(anew);
    no_session(&node).await;
    let older = format!("{QUERY}&cursor={}", one.replace(':', "%3A"));
    let mut third = Events::open(&node, &older, &format!("last-event-id: {two}\r\n")).await;
    assert_eq!(third.shown().await.0, "n3", "the header is newer than the address");
    drop(third);
    no_session(&node).await;
    let mut fourth = Events::open(&node, &older, "").await;
    assert_eq!(fourth.shown().await.0, "n3", "the browser's cursor never falls");
}

/// Its client may keep the last id only, so that one speaks for both logs.
#[tokio::test]
async fn who_says_nothing_goes_on_in_both_logs_behind_the_last_event_id() {
    let (log, also) = (log(), MemoryLog::new(3));
    let node = Node::start_on_both(&log, &also).await;
    let mut first = Events::open(&node, QUERY, "").await;
    let mut ids = Vec::new();
    for (log, title) in [(&log, "n1"), (&also, "n2"), (&log, "n3")] {
        send(log, "7", title).await;
        let (id, message) = first.notification().await;
        assert_eq!(message["title"], title);
        ids.extend(id);
    }
    drop(first);
    no_session(&node).await;
    let mut second = Events::open(&node, QUERY, &format!("last-event-id: {}\r\n", ids[1])).await;
    assert_eq!(
        second.notification().await.1["title"],
        "n3",
        "an id stands for what was sent before it, and for no more"
    );
    send(&also, "7", "n4").await;
    let (id, message) = second.notification().await;
    assert_eq!(message["title"], "n4");
    drop(second);
    no_session(&node).await;
    let mut third = Events::open(&node, QUERY, &format!("last-event-id: {}\r\n", id.expect("an id"))).await;
    send(&log, "7", "n5").await;
    assert_eq!(third.notification().await.1["title"], "n5", "nothing of either log is repeated");
}

#[tokio::test]
async fn an_acknowledgement_moves_the_cursor() {
    let log = log();
    let node = Node::start(&log).await;
    let mut first = Events::open(&node, QUERY, "").await;
    send(&log, "7", "n1").await;
    send(&log, "7", "n2").await;
    let (_, one) = first.shown().await;
    first.shown().await;
    first.acknowledge(&one).await;
    let mut second = Events::open(&node, QUERY, "").await;
    drop(first);
    assert_eq!(second.shown().await.0, "n2");
}

#[tokio::test]
async fn a_stream_and_a_websocket_of_one_browser_show_each_once() {
    let log = log();
    let node = Node::start(&log).await;
    let websocket = profile(Front::Native, "7", "b", &node).open().await.expect("a tab");
    settle(&log, "7", "n1", &[&websocket]).await;
    let mut stream = Events::open(&node, QUERY, "").await;
    settle(&log, "7", "n2", &[&websocket]).await;
    websocket.close().await.expect("closed");
    send(&log, "7", "n3").await;
    assert_eq!(stream.shown().await.0, "n3", "what the other tab showed does not come again");
    let after = profile(Front::Native, "7", "b", &node).open().await.expect("a tab");
    send(&log, "7", "n4").await;
    assert_eq!(stream.shown().await.0, "n4");
    assert!(after.titles().is_empty(), "{:?}", after.titles());
}

#[tokio::test]
async fn whoever_is_not_known_gets_no_stream() {
    let node = Node::start(&log()).await;
    let cookie = format!("bellwire_token={KEY}");
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("cookie", "bellwire_token=wrong")]] {
        let answer = asked(&node, QUERY, headers).await;
        is_problem(&answer, 401, None);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    is_problem(&asked(&node, &format!("{QUERY}&key={KEY}&token={KEY}"), &[]).await, 401, None);
    let bearer = format!("Bearer {KEY}");
    for (query, field) in [("browser=b", "user"), ("user=7", "browser"), ("user=a%20b&browser=b", "user")] {
        is_problem(&asked(&node, query, &[("authorization", &bearer)]).await, 400, Some(field));
    }
    for line in
        [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("referer", "http://evil.example/page")]
    {
        is_problem(&asked(&node, QUERY, &[("cookie", &cookie), line]).await, 403, None);
        let both = [("authorization", "Bearer wrong"), ("cookie", &cookie), line];
        is_problem(&post(node.address, &both, b"{}").await, 401, None);
    }
    let put = request(node.address, "PUT", "/events", &[], b"").await.expect("an answer");
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, POST")));
    assert_eq!(node.gateway.sessions(), 0);
}

#[tokio::test]
async fn a_cookie_is_enough_for_a_page_of_the_same_origin() {
    let node = Node::start(&log()).await;
    let head = format!(
        "GET /events?{QUERY} HTTP/1.1\r\nhost: x\r\ncookie: a=b; bellwire_token={KEY}\r\nauthorization: Basic YTpi\r\nreferer: http://x/page\r\n\r\n"
    );
    assert_eq!(http::open(node.address, &head).await.expect("a head").status, 200);
}

#[tokio::test]
async fn what_is_said_reaches_its_own_session_only() {
    let log = log();
    let (one, two) = (Node::start(&log).await, Node::start(&log).await);
    let mut tab = Events::open(&one, QUERY, "").await;
    let other = Events::open(&one, "user=8&browser=b", "").await;
    let body = |session: &str, token: &str| json!({ "session": session, "token": token, "say": { "op": "ping" } });
    let unknown = [
        (one.address, body(&tab.session, &other.token)),
        (one.address, body(&tab.session, "")),
        (one.address, body(&other.session, &tab.token)),
        (one.address, body(&format!("{}9", tab.session), &tab.token)),
        (two.address, body(&tab.session, &tab.token)),
    ];
    for (address, body) in unknown {
        is_problem(&post(address, &[], body.to_string().as_bytes()).await, 404, None);
    }
    let right = body(&tab.session, &tab.token).to_string();
    is_problem(&post(one.address, &[("authorization", "Bearer wrong")], right.as_bytes()).await, 401, None);
    is_problem(&post(one.address, &[("content-type", "text/plain")], right.as_bytes()).await, 415, None);
    for (body, field) in [
        ("[]".to_owned(), ""),
        (json!({ "session": "x", "token": "t", "say": {} }).to_string(), "session"),
        (json!({ "session": tab.session, "say": {} }).to_string(), "token"),
        (json!({ "session": tab.session, "token": tab.token, "say": "ping" }).to_string(), "say"),
    ] {
        is_problem(&post(one.address, &[], body.as_bytes()).await, 400, Some(field));
    }
    is_problem(&post(one.address, &[], b"\xff").await, 400, None);
    for bytes in [8_192, 100_000] {
        is_problem(&tab.say(json!({ "op": "test", "title": "x".repeat(bytes) })).await, 413, Some("say"));
    }
    // None of it has reached the session, which stays.
    assert_eq!(tab.say(json!({ "op": "subscribe" })).await.status, 204);
    assert_eq!(tab.until("error").await["code"], "unknown_op");
    assert_eq!(tab.say(json!({ "op": "ack" })).await.status, 204);
    assert_eq!(tab.until("error").await["code"], "bad_field");
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_stream_is_told_and_ends() {
    let node = Node::start(&log()).await;
    let mut tab = Events::open(&node, QUERY, "").await;
    let reader = tokio::spawn(async move {
        tab.until("drain").await;
        let close = tab.until("close").await;
        (close, tab.next().await)
    });
    assert_eq!(node.drain(Duration::ZERO).await, 0);
    let (close, end) = reader.await.expect("read");
    assert_eq!(close, json!({ "op": "close", "code": 4000, "reason": "drain" }));
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_or_full_node_says_when_to_ask_again() {
    let node = Node::start_with(&log(), SessionLimits { sessions: 2, sessions_per_user: 1, ..LIMITS }).await;
    let bearer = format!("Bearer {KEY}");
    let key = [("authorization", bearer.as_str())];
    let mut tab = Events::open(&node, QUERY, "").await;
    let refused = asked(&node, QUERY, &key).await;
    is_problem(&refused, 429, None);
    assert!(refused.header("retry-after").is_some());
    let second = Events::open(&node, "user=8&browser=b", "").await;
    let refused = asked(&node, "user=9&browser=b", &key).await;
    is_problem(&refused, 503, None);
    assert!(refused.header("retry-after").is_some());
    drop(second);
    let address = node.address;
    let draining = tokio::spawn(node.drain(Duration::from_secs(1)));
    tab.until("drain").await;
    let refused = request(address, "GET", &format!("/events?{QUERY}"), &key, b"").await.expect("an answer");
    is_problem(&refused, 503, None);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(draining.await.expect("drained"), 0);
}

async fn slow(node: &Node) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // The kernel must not take the backlog off the server's hands.
    socket.set_recv_buffer_size(16 * 1024).expect("a small buffer");
    socket.connect(node.address).await.expect("connected")
}

const BACKLOG: usize = 600;
const TEXT_BYTES: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_read_late_misses_nothing() {
    let log = log();
    let node = Node::start(&log).await;
    let mut tab = Events::open_on(slow(&node).await, QUERY, "").await;
    for n in 0..BACKLOG {
        send_text(&log, "7", &format!("n{n}"), &"x".repeat(TEXT_BYTES)).await;
    }
    // Long enough for the server to have come to a halt, short enough for it to wait.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for n in 0..BACKLOG {
        assert_eq!(tab.shown().await.0, format!("n{n}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_read_ends() {
    let log = log();
    let node = Node::start(&log).await;
    let tab = Events::open_on(slow(&node).await, QUERY, "").await;
    for n in 0..BACKLOG {
        send_text(&log, "7", &format!("n{n}"), &"x".repeat(TEXT_BYTES)).await;
    }
    no_session(&node).await;
    drop(tab);
}
