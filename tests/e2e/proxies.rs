//! The lines for nginx that the package brings, in a real nginx beside openITCOCKPIT's own.

use std::net::SocketAddr;
use std::path::Path;

use bellwire_testkit::http;
use bellwire_testkit::nginx::Nginx;
use bellwire_testkit::tab::Front;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{embedded, open, program, send, standalone};

const DEFAULT: &str = "127.0.0.1:8083";

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What openITCOCKPIT's nginx has for the notifications, pages and the backend, with `more` behind it.
async fn openitcockpit(address: SocketAddr, more: &str) -> Nginx {
    assert!(more.is_empty() || more.contains(DEFAULT), "the lines go elsewhere: {more}");
    let more = more.replace(DEFAULT, &address.to_string());
    let own = format!(
        r#"location /push_notifications {{
            proxy_pass http://{address};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
        location /a/ {{ return 200 "front end"; }}
        location / {{ return 200 "backend"; }}
        {more}"#
    );
    Nginx::start(&own).await.unwrap()
}

/// The head of the first request that comes, which gets no answer but an end.
async fn first_head(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    String::from_utf8(head).unwrap().to_lowercase()
}

#[tokio::test]
async fn the_gateway_learns_who_connects() {
    for (more, host, forwarded) in [
        (text("packaging/nginx/bellwire.conf"), "host: monitoring.example", true),
        (String::new(), "host: 127.", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nginx = openitcockpit(listener.local_addr().unwrap(), &more).await;
        let head = tokio::spawn(first_head(listener));
        let upgrade = [
            ("host", "monitoring.example"),
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("cookie", "PHPSESSID=x"),
            ("origin", "https://monitoring.example"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        let asked = http::request(nginx.address, "GET", "/push_notifications?userId=1", &upgrade, b"").await.unwrap();
        assert_eq!(asked.status, 401);
        let head = head.await.unwrap();
        for part in ["get /push_notifications?userid=1 http/1.1", "upgrade: websocket", "connection: upgrade", host] {
            assert!(head.contains(part), "{part}: {head}");
        }
        for part in ["cookie: phpsessid=x", "origin: https://monitoring.example"] {
            assert!(head.contains(part), "{part}: {head}");
        }
        // What the client says of itself comes first, and is believed of nobody.
        assert_eq!(head.contains("x-forwarded-for: 192.0.2.1, 127.0.0.1"), forwarded, "{head}");
        assert_eq!(head.contains("x-forwarded-proto: http"), forwarded, "{head}");
    }
}

#[tokio::test]
async fn tabs_of_both_front_ends_come_through() {
    let dir = tempfile::tempdir().unwrap();
    let node = standalone(&embedded(&dir)).await;
    let nginx = openitcockpit(node.listen, &text("packaging/nginx/bellwire.conf")).await;
    for front in [Front::V1, Front::V2] {
        let tab = open(front, "1", &format!("{front:?}"), nginx.address).await;
        send(node.listen, "1", "through nginx").await;
        assert_eq!(tab.wait_shown(1).await.unwrap()[0].title, "through nginx");
    }
}

/// The lines for `/bellwire/`: the gateway's page, WebSockets under it, and nothing of what senders use.
#[tokio::test]
async fn pages_of_ones_own_come_through_and_senders_do_not() {
    let page = text("docs/proxies.md");
    let lines = page.split("```nginx own-pages\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(lines.contains(DEFAULT), "{lines}");
    let node = standalone("memory:").await;
    let nginx = Nginx::start(&lines.replace(DEFAULT, &node.listen.to_string())).await.unwrap();
    for (path, shown) in [("/bellwire/", "<!doctype html>"), ("/bellwire/client/bellwire.js", "export")] {
        let answer = http::get(nginx.address, path).await.unwrap();
        assert!(answer.status == 200 && answer.text().to_lowercase().contains(shown), "{path}: {}", answer.status);
    }
    for path in ["/bellwire/message", "/bellwire/v1/notifications", "/bellwire//message", "/bellwire/openapi.json"] {
        let body = serde_json::json!({"userId": 1, "user": "1", "kind": "message", "title": "Hello"});
        assert_eq!(http::post(nginx.address, path, &body).await.unwrap().status, 404, "{path}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let nginx = Nginx::start(&lines.replace(DEFAULT, &address)).await.unwrap();
    let head = tokio::spawn(first_head(listener));
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    let asked = http::request(nginx.address, "GET", "/bellwire/push_notifications", &upgrade, b"").await.unwrap();
    assert_eq!(asked.status, 401);
    let head = head.await.unwrap();
    for part in
        ["get /push_notifications http/1.1", "upgrade: websocket", "connection: upgrade", "x-forwarded-for: 127."]
    {
        assert!(head.contains(part), "{part}: {head}");
    }
}

/// openITCOCKPIT 5.3 opens its notifications' objects at an address that only its backend has.
#[tokio::test]
async fn a_click_of_the_old_front_end_finds_the_page() {
    const UUID: &str = "c36b8048-93ce-4385-ac19-ab5c90574b77";
    let node = standalone("memory:").await;
    let nginx = openitcockpit(node.listen, &text("packaging/nginx/bellwire.conf")).await;
    let html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let ask = async |path: &str, accept: &str| {
        let answer = http::request(nginx.address, "GET", path, &[("accept", accept)], b"").await.unwrap();
        let location = answer.header("location").map(|url| url.split_once("/a/").unwrap().1.to_owned());
        (answer.status, location, answer.text())
    };
    for kind in ["hosts", "services"] {
        let page = format!("/{kind}/browser/{UUID}");
        let (status, location, _) = ask(&page, html).await;
        assert_eq!((status, location), (302, Some(format!("{kind}/browser/{UUID}"))));
        for (path, accept) in [
            (format!("{page}.json?angular=true"), "application/json, text/plain, */*"),
            (format!("{page}.json"), html),
            (page.clone(), "application/json, text/plain, */*"),
            (format!("/{kind}/index"), html),
            (format!("/{kind}/browser/"), html),
            (format!("/x{page}"), html),
        ] {
            assert_eq!(ask(&path, accept).await, (200, None, "backend".into()), "{path} {accept}");
        }
        assert_eq!(ask(&format!("/a{page}"), html).await, (200, None, "front end".into()));
    }
}

/// nginx cuts what is silent for 60 s, which openITCOCKPIT's own lines leave as it is.
#[tokio::test]
async fn a_tab_that_says_nothing_for_a_minute_stays() {
    if std::env::var_os("BELLWIRE_TEST_FULL").is_none() {
        println!("left out: it takes more than a minute; make test-full runs it");
        return;
    }
    let node = standalone("memory:").await;
    let nginx = openitcockpit(node.listen, "").await;
    let tabs = [
        open(Front::V1, "1", "v1", nginx.address).await,
        open(Front::V2, "2", "v2", nginx.address).await,
        open(Front::Native, "3", "native", nginx.address).await,
    ];
    for tab in &tabs {
        // The browser answers pings; the page says nothing.
        tab.hang().unwrap();
    }
    for count in 1..=4 {
        for tab in &tabs {
            tab.wait("a ping", |seen| seen.pings >= count || !seen.ends.is_empty()).await.unwrap();
        }
    }
    for (tab, user) in tabs.iter().zip(["1", "2", "3"]) {
        let seen = tab.seen();
        assert!(seen.ends.is_empty() && seen.connected_at.len() == 1, "{seen:#?}");
        let frames = seen.frames;
        send(node.listen, user, "after a silence").await;
        tab.wait("one more frame", |seen| seen.frames > frames).await.unwrap();
    }
}

/// The documentation shows what the package brings.
#[tokio::test]
async fn the_documented_lines_are_the_packages() {
    let page = text("docs/proxies.md");
    let lines = text("packaging/nginx/bellwire.conf");
    assert!(
        page.contains(&format!("```nginx\n{lines}```")),
        "docs/proxies.md shows another packaging/nginx/bellwire.conf"
    );
    let page = text("docs/openitcockpit-tabs.md");
    let lines = text("packaging/nginx/openitcockpit-tabs.conf");
    assert!(page.contains(&format!("```nginx\n{lines}```")), "docs/openitcockpit-tabs.md shows other lines");
    // What is to be uncommented in the settings is what the guide tells.
    let guide = text("docs/openitcockpit.md");
    let settings = text("packaging/bellwire.toml");
    for name in ["openitcockpit-url", "openitcockpit-ca-file", "mysql-file"] {
        let line = settings.lines().find_map(|line| line.strip_prefix('#').filter(|l| l.starts_with(name))).unwrap();
        assert!(guide.contains(line), "docs/openitcockpit.md: {line}");
    }
    let output = program("bellwire").args(["watch", "--help"]).output().await.unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("--target"));
}
