//! The files that the gateway serves: the page at `/`, and under `client/` the modules that any page may use.
//!
//! A client file has two addresses. `client/<path>` is for pages that others write: always the present file, asked for
//! anew each time, and answered with 304 while it stays the same. `client/<version>-<hash>/<path>` is for our own page: what
//! is there never changes, so that a browser keeps it for ever; the page is asked for anew, and names the folder.
//!
//! The folder of another version has no code. A page whose modules come half from one version and half from another
//! would run, and fail at its seams; one whose modules are missing says so at once, and is right after a reload. Pictures
//! fit any version: a page that has been open for long finds its icons.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

mod files {
    include!(concat!(env!("OUT_DIR"), "/files.rs"));
}

/// The page works under any path prefix and from nowhere else; styles and scripts only from files of its own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = "index.html";
const CLIENT_FOLDER: &str = "/client/";

const PNG: &str = "image/png";

/// Ends the tag of compressed bytes.
const PACKED: &str = "-gz";

const KEEP_FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// Digits of a hash that are enough to tell contents apart: a folder's, and a file's.
const FOLDER_DIGITS: usize = 16;
const FILE_DIGITS: usize = 32;

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets::new(env!("CARGO_PKG_VERSION"), files::CLIENT, files::PAGE));

type Files = [(&'static str, &'static [u8])];

struct Assets {
    /// What tells the versions of the client apart.
    hash: String,
    client: HashMap<&'static str, Asset>,
    page: HashMap<&'static str, Asset>,
}

struct Asset {
    content_type: &'static str,
    body: Bytes,
    /// Compressed; none where that is no use.
    packed: Option<Bytes>,
    etag: String,
}

/// What is at a path.
enum Found<'a> {
    Asset(&'a Asset, For),
    /// Nothing, and nobody else has anything there.
    Nothing,
    /// It is not a path of ours.
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Page,
    Client { for_ever: bool },
}

/// The answer to a request for a file; none when it asks for something else.
pub(crate) fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    match ASSETS.find(path) {
        Found::Foreign => None,
        Found::Nothing => Some(missing()),
        Found::Asset(..) if !matches!(*method, Method::GET | Method::HEAD) => {
            Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response())
        }
        Found::Asset(asset, purpose) => Some(asset.answer(purpose, headers)),
    }
}

fn missing() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::NOT_FOUND, headers, "not found; where a page asked for it, load the page again\n").into_response()
}

// === impl Assets ===

impl Assets {
    fn new(version: &str, client: &Files, page: &Files) -> Self {
        let mut all = Sha256::new();
        for (path, body) in client {
            all.update(format!("{path} {}\n", body.len()));
            all.update(body);
        }
        let hash = hex(&all.finalize(), FOLDER_DIGITS);
        let folder = format!("\"client/{version}-{hash}/");
        let page = page.iter().map(|(path, body)| match std::str::from_utf8(body) {
            Ok(text) if *path == PAGE => (*path, Asset::new(path, text.replace("\"client/", &folder).into())),
            _ => (*path, Asset::new(path, Bytes::from_static(body))),
        });
        let client = client.iter().map(|(path, body)| (*path, Asset::new(path, Bytes::from_static(body))));
        Self { hash, client: client.collect(), page: page.collect() }
    }

    fn find(&self, path: &str) -> Found<'_> {
        let Some(path) = path.strip_prefix(CLIENT_FOLDER) else {
            let name =
                if path == "/" { PAGE } else { path.strip_prefix('/').filter(|name| *name != PAGE).unwrap_or("") };
            return self.page.get(name).map_or(Found::Foreign, |asset| Found::Asset(asset, For::Page));
        };
        if let Some(asset) = self.client.get(path) {
            return Found::Asset(asset, For::Client { for_ever: false });
        }
        let versioned =
            path.split_once('/').and_then(|(folder, path)| Some((hash_of(folder)?, self.client.get(path)?)));
        match versioned {
            // Whatever the version is called, the contents are these.
            Some((hash, asset)) if hash == self.hash => Found::Asset(asset, For::Client { for_ever: true }),
            Some((_, asset)) if asset.content_type.starts_with("image/") => {
                Found::Asset(asset, For::Client { for_ever: false })
            }
            _ => Found::Nothing,
        }
    }
}

/// The hash in a folder's name `<version>-<hash>`.
fn hash_of(folder: &str) -> Option<&str> {
    let (_, hash) = folder.rsplit_once('-')?;
    (hash.len() == FOLDER_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hash)
}

// === impl Asset ===

impl Asset {
    fn new(path: &str, body: Bytes) -> Self {
        let etag = hex(&Sha256::digest(&body), FILE_DIGITS);
        let content_type = content_type(path);
        let packed = if content_type == PNG { None } else { pack(&body) };
        Self { content_type, body, packed, etag }
    }

    fn answer(&self, purpose: For, asked: &HeaderMap) -> Response {
        let keep = if purpose == (For::Client { for_ever: true }) { KEEP_FOR_EVER } else { ASK_AGAIN };
        let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|value| self.is_one_of(value));
        let packed = self.packed.as_ref().filter(|_| takes_gzip(asked));
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let body = packed.unwrap_or(&self.body).clone();
            ([(header::CONTENT_TYPE, self.content_type)], Body::from(body)).into_response()
        };
        let headers = response.headers_mut();
        // Another tag for other bytes.
        let etag = if packed.is_some() { format!("\"{}{PACKED}\"", self.etag) } else { format!("\"{}\"", self.etag) };
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(header::ETAG, etag);
        }
        if packed.is_some() && !known {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.packed.is_some() {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CACHE_CONTROL, keep);
        set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::REFERRER_POLICY, "no-referrer");
        if purpose != For::Page {
            // Public code: pages of other origins may import it.
            set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        }
        response
    }

    /// Proxies that compress on the way make a strong tag weak; the content is the same.
    fn is_one_of(&self, tags: &HeaderValue) -> bool {
        let Ok(tags) = tags.to_str() else { return false };
        let own = |tag: &str| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?;
            Some(tag.strip_suffix(PACKED).unwrap_or(tag) == self.etag)
        };
        tags.split(',').map(str::trim).any(|tag| tag == "*" || own(tag) == Some(true))
    }
}

/// Whoever refuses it does so by a quality of 0.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let mut codings = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    codings.any(|codings| {
        codings.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip")
                && !parts.any(|part| {
                    part.starts_with("q=0") && !part.contains(['1', '2', '3', '4', '5', '6', '7', '8', '9'])
                })
        })
    })
}

/// None if it would not be smaller.
fn pack(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().filter(|packed| packed.len() < body.len()).map(Bytes::from)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => PNG,
        _ => "text/plain; charset=utf-8",
    }
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &Files = &[("a.js", b"import \"./b/c.js\";"), ("b/c.js", b""), ("icons/up.svg", b"<svg/>")];
    const HTML: &[u8] = br#"<link href="page.css"><script src="client/a.js"></script><link href="client/b.css">"#;
    const PAGE_FILES: &Files = &[("index.html", HTML), ("page.css", b"a{}")];

    fn assets() -> Assets {
        Assets::new("1.2.3-rc.1", CLIENT, PAGE_FILES)
    }

    fn at(assets: &Assets, path: &str) -> Option<(StatusCode, String)> {
        match assets.find(path) {
            Found::Foreign => None,
            Found::Nothing => Some((StatusCode::NOT_FOUND, String::new())),
            Found::Asset(asset, purpose) => {
                let response = asset.answer(purpose, &HeaderMap::new());
                let keep = response.headers()[header::CACHE_CONTROL].to_str().unwrap().to_owned();
                Some((response.status(), keep))
            }
        }
    }

    #[test]
    fn the_page_names_the_folder_of_its_client_files() {
        let assets = assets();
        let html = String::from_utf8(assets.page[PAGE].body.to_vec()).unwrap();
        let folder = format!("client/1.2.3-rc.1-{}/", assets.hash);
        assert_eq!(
            html,
            format!(r#"<link href="page.css"><script src="{folder}a.js"></script><link href="{folder}b.css">"#)
        );
        let named = format!("/{folder}a.js");
        assert_eq!(at(&assets, &named), Some((StatusCode::OK, KEEP_FOR_EVER.to_owned())));
    }

    #[test]
    fn a_folder_is_its_contents() {
        let (assets, hash) = (assets(), assets().hash);
        let kept = |keep: &str| Some((StatusCode::OK, keep.to_owned()));
        let none = Some((StatusCode::NOT_FOUND, String::new()));
        assert_eq!(at(&assets, &format!("/client/9.9.9-{hash}/b/c.js")), kept(KEEP_FOR_EVER));
        assert_eq!(at(&assets, "/client/b/c.js"), kept(ASK_AGAIN));
        assert_eq!(at(&assets, "/client/1.0.0-0123456789abcdef/a.js"), none, "code of another version");
        assert_eq!(at(&assets, "/client/1.0.0-0123456789abcdef/icons/up.svg"), kept(ASK_AGAIN));
        for path in ["/client/", "/client/x.js", "/client/x/a.js", "/client/x-y/icons/up.svg", "/client//a.js"] {
            assert_eq!(at(&assets, path), none, "{path}");
        }
        for path in ["/client", "/index.html", "/page", "/events", "", "/a.js", "/x/client/a.js"] {
            assert_eq!(at(&assets, path), None, "{path}");
        }
        let other = Assets::new("1.2.3", &[("a.js", b"import \"./b/c.js\"; ")], PAGE_FILES);
        assert_ne!(other.hash, hash);
    }

    #[test]
    fn who_takes_gzip_gets_it() {
        let code = "let a = 1;\n".repeat(100);
        let asset = Asset::new("a.js", Bytes::from(code));
        let picture = Asset::new("a.png", Bytes::from_static(&[0; 100]));
        let coding = |asset: &Asset, accepted: &str| {
            let asked = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap())]);
            let response = asset.answer(For::Page, &asked);
            response.headers().get(header::CONTENT_ENCODING).is_some()
        };
        for accepted in ["gzip", "br, gzip;q=0.8", "deflate,gzip ; q=1.0"] {
            assert!(coding(&asset, accepted), "{accepted}");
            assert!(!coding(&picture, accepted), "{accepted}");
        }
        for accepted in ["", "br", "gzip;q=0", "gzip; q=0.000", "xgzip"] {
            assert!(!coding(&asset, accepted), "{accepted}");
        }
    }

    #[test]
    fn tags_are_compared_whatever_proxies_made_of_them() {
        let asset = Asset::new("a.js", Bytes::from_static(b"x"));
        let is = |tags: &str| asset.is_one_of(&HeaderValue::from_str(tags).unwrap());
        let own = &format!("\"{}\"", asset.etag);
        assert!(is(&own.replace(&asset.etag, &format!("{}{PACKED}", asset.etag))));
        assert!(is(own) && is(&format!("W/{own}")) && is(&format!("\"other\", {own}")) && is("*"));
        assert!(!is("\"other\"") && !is(own.trim_matches('"')) && !is(""));
        assert_ne!(Asset::new("a.js", Bytes::from_static(b"y")).etag, asset.etag);
    }

    #[test]
    fn types_are_those_that_browsers_want() {
        assert_eq!(content_type("a.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("bellwire.d.ts"), "text/plain; charset=utf-8");
        assert_eq!((content_type("a.png"), content_type("a.svg")), ("image/png", "image/svg+xml"));
    }
}
