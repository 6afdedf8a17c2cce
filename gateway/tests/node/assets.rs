//! The page and the client's files, over HTTP.

use std::fs;
use std::path::{Path, PathBuf};

use bellwire_testkit::http::{self, Response, request};

use super::*;

/// What loading the page may cost on the network, in bytes. Icons aside.
const PAGE_BYTES_MAX: usize = 100_000;

fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../client")
}

/// Paths of all files below a folder of the client.
fn below(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(client().join(folder)).into_iter().flatten().flatten();
    let path = |name: String| if folder.is_empty() { name } else { format!("{folder}/{name}") };
    entries
        .map(|entry| (entry.path().is_dir(), path(entry.file_name().into_string().expect("text"))))
        .filter(|(is_folder, _)| !is_folder)
        .map(|(_, path)| path)
        .collect()
}

/// The client's files as the package ships them.
fn shipped() -> Vec<String> {
    let mut files = below("");
    files.retain(|path| {
        path.ends_with(".js") || path.ends_with(".css") || ["bellwire.d.ts", "panel.d.ts"].contains(&path.as_str())
    });
    files.extend([below("languages"), below("panel")].concat().into_iter().filter(|path| path.ends_with(".js")));
    files.extend(below("icons").into_iter().filter(|path| !path.ends_with(".js")));
    assert!(files.len() > 20, "{files:?}");
    files
}

async fn asked(node: &Node, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    request(node.address, method, path, headers, b"").await.expect("an answer")
}

async fn got(node: &Node, path: &str) -> Response {
    let answer = asked(node, "GET", path, &[]).await;
    assert_eq!(answer.status, 200, "{path}");
    answer
}

/// The folder of the present version, which only the page knows otherwise.
async fn folder(node: &Node) -> String {
    let page = got(node, "/").await.text();
    let named = page.split("\"client/").nth(1).expect("the page uses the client").split('/').next();
    format!("/client/{}", named.expect("a folder"))
}

#[tokio::test]
async fn every_file_that_the_package_ships_is_served_and_never_changes_in_its_folder() {
    let node = Node::start(&log()).await;
    let folder = folder(&node).await;
    for path in shipped() {
        let body = fs::read(client().join(&path)).expect("a file");
        let type_of = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            _ => "text/plain; charset=utf-8",
        };
        let kept = "public, max-age=31536000, immutable";
        for (path, keep) in [(format!("/client/{path}"), "no-cache"), (format!("{folder}/{path}"), kept)] {
            let answer = got(&node, &path).await;
            assert!(answer.body == body, "{path} is not what is in the tree: build again");
            assert_eq!(answer.header("cache-control"), Some(keep), "{path}");
            assert_eq!(answer.header("content-type"), Some(type_of), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert!(answer.header("content-security-policy").is_some_and(|csp| csp.contains("default-src 'none'")));
        }
    }
}

#[tokio::test]
async fn what_the_package_does_not_ship_is_not_in_the_program() {
    let node = Node::start(&log()).await;
    let folder = folder(&node).await;
    let mut paths = [below("tests"), below("tests/kit")].concat();
    assert!(paths.len() > 5, "{paths:?}");
    let others = ["package.json", "package-lock.json", "tsconfig.json", "README.md", "icons/make.js", "icons/draw.js"];
    paths.extend(others.map(str::to_owned));
    paths.extend(["node_modules/typescript/package.json", "nothing.js", "", "../page/index.html"].map(str::to_owned));
    for path in paths {
        for path in [format!("/client/{path}"), format!("{folder}/{path}")] {
            let answer = asked(&node, "GET", &path, &[]).await;
            assert_eq!((answer.status, answer.header("cache-control")), (404, Some("no-store")), "{path}");
        }
    }
    let other = "/client/0.0.1-0123456789abcdef";
    assert_eq!(asked(&node, "GET", &format!("{other}/bellwire.js"), &[]).await.status, 404);
    let icon = got(&node, &format!("{other}/icons/host-down.png")).await;
    assert_eq!(icon.header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again_nor_for_head() {
    let node = Node::start(&log()).await;
    let folder = folder(&node).await;
    let paths = ["/", "/page.css", "/icon.svg", "/client/bellwire.js", &format!("{folder}/icons/host-up.png")];
    for path in paths {
        let whole = got(&node, path).await;
        let tag = whole.header("etag").expect("a tag").to_owned();
        assert!(tag.starts_with('"'), "a strong one: {tag}");
        for known in [tag.clone(), format!("\"x\", W/{tag}")] {
            let same = asked(&node, "GET", path, &[("if-none-match", &known)]).await;
            assert_eq!((same.status, same.body.len()), (304, 0), "{path}");
            for name in ["etag", "cache-control", "access-control-allow-origin"] {
                assert_eq!(same.header(name), whole.header(name), "{path}: {name}");
            }
        }
        assert_eq!(asked(&node, "GET", path, &[("if-none-match", "\"x\"")]).await.status, 200);
        // The connection is closed behind the head: nothing follows it.
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let opened = http::open(node.address, &request).await.expect("a head");
        let length = format!("content-length: {}\r\n", whole.body.len());
        assert!(opened.status == 200 && opened.head.contains(&length), "{}", opened.head);
        assert_eq!(opened.rest().await.expect("an end"), "");
        let put = asked(&node, "PUT", path, &[]).await;
        assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD")));
    }
}

#[tokio::test]
async fn the_whole_page_is_small() {
    let node = Node::start(&log()).await;
    let mut paths: Vec<String> = shipped().into_iter().map(|path| format!("/client/{path}")).collect();
    // Scripts for pages of others, types and pictures are not loaded with the page.
    paths.retain(|path| {
        [".js", ".css"].iter().any(|end| path.ends_with(end)) && !path.ends_with("openitcockpit-tabs.js")
    });
    paths.extend(["/", "/page.css"].map(str::to_owned));
    let mut bytes = 0;
    for path in paths {
        let answer = asked(&node, "GET", &path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{path}");
        bytes += answer.body.len();
    }
    println!("the page takes {bytes} bytes");
    assert!(bytes <= PAGE_BYTES_MAX, "{bytes} bytes");
}

#[tokio::test]
async fn tabs_may_connect_at_the_paths_of_files() {
    let node = Node::start(&log()).await;
    // The last one is what V2 asks for, which has a refusal of its own for requests that are no handshakes.
    let of_v2 = "/push_notifications?userId=7&browserUuid=x";
    for path in ["/", "/client/bellwire.js", "/client/nothing", "/page.css", of_v2] {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: bellwire.v1, wrong\r\n\r\n"
        );
        assert_eq!(http::open(node.address, &head).await.expect("a head").status, 401, "{path}");
        // What a proxy leaves of it that does not pass on `Upgrade`: there is something here, but not for such a request.
        let left = head.replace("upgrade: websocket\r\nconnection: upgrade\r\n", "connection: close\r\n");
        let opened = http::open(node.address, &left).await.expect("a head");
        assert_eq!(opened.status, 426, "{path}");
        for line in ["\r\nupgrade: websocket\r\n", "\r\nconnection: upgrade, close\r\n"] {
            assert!(opened.head.contains(line), "{path}: {}", opened.head);
        }
        assert!(opened.rest().await.expect("a text").contains("a proxy on the way"), "{path}");
    }
}
