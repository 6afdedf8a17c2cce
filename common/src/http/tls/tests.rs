use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use bellwire_testkit::certs::{Authority, Pair, connect};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{AlertDescription, ClientConfig, Error};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http::{Limits, bind, serve};
use crate::settings::Invalid;

/// An authority, a folder with a certificate of it, and TLS with it.
struct Place {
    authority: Authority,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { authority: Authority::try_new("servers").unwrap(), folder: tempfile::tempdir().unwrap() };
        place.write(&place.authority.server().unwrap());
        fs::write(place.folder.path().join("senders.pem"), place.authority.pem()).unwrap();
        place
    }

    fn write(&self, pair: &Pair) {
        pair.write(self.folder.path(), "server").unwrap();
    }

    fn files(&self) -> TlsFiles {
        let path = |name| self.folder.path().join(name);
        TlsFiles { cert: path("server.pem"), key: path("server.key"), admin: false }
    }

    fn tls(&self) -> Tls {
        self.open().0
    }

    fn open(&self) -> (Tls, TlsWatch) {
        Tls::open(&self.files(), Some(&self.folder.path().join("senders.pem"))).unwrap()
    }

    fn wrong(&self) -> TlsError {
        Tls::open(&self.files(), None).unwrap_err()
    }

    async fn ask(&self, address: SocketAddr, certificate: Option<&Pair>) -> io::Result<String> {
        ask(address, &self.authority.trusting(certificate).unwrap()).await
    }
}

fn start(tls: Tls, limits: Limits) -> (SocketAddr, CancellationToken) {
    let who = |certificate: Option<Extension<ClientCertificate>>| async move {
        certificate.map_or("nobody".to_owned(), |Extension(certificate)| format!("{:02x?}", certificate.fingerprint))
    };
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(serve(listener, Router::new().route("/", get(who)), limits, Some(tls), stop.clone()));
    (address, stop)
}

async fn ask(address: SocketAddr, client: &Arc<ClientConfig>) -> io::Result<String> {
    let mut stream = connect(address, Some(client)).await.map_err(|error| error.downcast::<io::Error>().unwrap())?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    // A connection that ends without the word of TLS would be an error here.
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    if let Error::AlertReceived(alert) = error { Some(*alert) } else { None }
}

#[tokio::test]
async fn requests_are_answered_and_the_connection_ends_with_a_word() {
    let place = Place::new();
    let (address, _stop) = start(place.tls(), Limits::default());
    let answer = place.ask(address, None).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("nobody"), "{answer}");
}

#[tokio::test]
async fn a_websocket_is_all_that_is_offered() {
    let place = Place::new();
    let (address, _stop) = start(place.tls(), Limits::default());
    let mut client = ClientConfig::clone(&place.authority.trusting(None).unwrap());
    client.alpn_protocols = vec![b"h2".to_vec()];
    let error = ask(address, &Arc::new(client.clone())).await.unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::NoApplicationProtocol), "{error}");
    client.alpn_protocols.push(b"http/1.1".to_vec());
    ask(address, &Arc::new(client)).await.unwrap();
}

#[tokio::test]
async fn who_is_asked_for_a_certificate_may_have_none_but_no_other() {
    let place = Place::new();
    let (address, _stop) = start(place.tls().asking(), Limits::default());
    assert!(place.ask(address, None).await.unwrap().ends_with("nobody"));
    let good = place.authority.client("poller").unwrap();
    let answer = place.ask(address, Some(&good)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.ends_with("nobody"), "{answer}");
    // Each connection says it anew.
    let client = place.authority.trusting(Some(&good)).unwrap();
    assert_eq!(ask(address, &client).await.unwrap(), ask(address, &client).await.unwrap());
    let strangers = Authority::try_new("strangers").unwrap();
    let alike = Authority::try_new("servers").unwrap();
    for (bad, expected) in [
        (strangers.client("poller").unwrap(), None),
        (alike.client("poller").unwrap(), None),
        (place.authority.client_until("poller", 2020).unwrap(), Some(AlertDescription::CertificateExpired)),
        (place.authority.server().unwrap(), None),
    ] {
        let error = place.ask(address, Some(&bad)).await.unwrap_err();
        assert!(expected.is_none() || alert(&error) == expected, "{error}");
    }
    let (address, _stop) = start(place.tls(), Limits::default());
    assert!(place.ask(address, Some(&good)).await.unwrap().ends_with("nobody"), "it was not asked");
}

#[tokio::test]
async fn a_handshake_that_stands_still_ends_in_time_and_is_told() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let on_head_timeout = || {
        TOLD.fetch_add(1, Ordering::Relaxed);
    };
    let place = Place::new();
    let head_timeout = Duration::from_millis(50);
    let (address, _stop) = start(place.tls(), Limits { head_timeout, on_head_timeout, ..Limits::default() });
    for begin in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(TOLD.load(Ordering::Relaxed), 3);
    // Behind a handshake the rest of the time is left for the head. Where it took all of it, that is told as well.
    if let Ok(mut secure) = connect(address, Some(&place.authority.trusting(None).unwrap())).await {
        let _ = secure.write_all(b"GET / HTTP/1.1\r\n").await;
        let _ = secure.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(TOLD.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn handshakes_that_stand_still_give_way() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let on_head_timeout = || {
        TOLD.fetch_add(1, Ordering::Relaxed);
    };
    let place = Place::new();
    let (address, _stop) = start(place.tls(), Limits { connections_max: 2, on_head_timeout, ..Limits::default() });
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"\x16\x03\x01").await.unwrap();
        slow.push(stream);
    }
    place.ask(address, None).await.unwrap();
    assert_eq!(TOLD.load(Ordering::Relaxed), 9);
}

#[tokio::test]
async fn what_is_no_tls_is_told_so_or_ended() {
    let place = Place::new();
    let (address, _stop) = start(place.tls(), Limits::default());
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("problem+json"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(problem["detail"].as_str().unwrap().starts_with(SPEAKS_TLS), "{body}");
    let mut garbage = TcpStream::connect(address).await.unwrap();
    garbage.write_all(&[0; 64]).await.unwrap();
    let mut answer = Vec::new();
    let _ = garbage.read_to_end(&mut answer).await;
    // At most an alert.
    assert!(answer.len() <= 7, "{answer:?}");
    drop(TcpStream::connect(address).await.unwrap());
    place.ask(address, None).await.unwrap();
}

#[tokio::test]
async fn a_new_pair_is_taken_and_a_bad_one_is_not() {
    let place = Place::new();
    let (tls, watch) = place.open();
    let (address, stop) = start(tls.asking(), Limits::default());
    watch.start(&stop);
    let successors = Authority::try_new("successors").unwrap();
    let (next, sender) = (successors.server().unwrap(), successors.client("poller").unwrap());
    let until = |asked: fn(&io::Result<String>) -> bool, client: Arc<ClientConfig>| async move {
        while !asked(&ask(address, &client).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The key is not there yet. That it has been seen shows only when it is.
    fs::write(place.folder.path().join("server.pem"), &next.cert).unwrap();
    place.ask(address, None).await.unwrap();
    fs::write(place.folder.path().join("server.key"), &next.key).unwrap();
    until(Result::is_ok, successors.trusting(None).unwrap()).await;
    place.ask(address, None).await.unwrap_err();

    ask(address, &successors.trusting(Some(&sender)).unwrap()).await.unwrap_err();
    fs::write(place.folder.path().join("senders.pem"), successors.pem()).unwrap();
    until(Result::is_ok, successors.trusting(Some(&sender)).unwrap()).await;
    stop.cancel();
}

#[test]
fn what_cannot_be_used_is_named() {
    let place = Place::new();
    let (good, other) = (place.authority.server().unwrap(), place.authority.server().unwrap());
    let pair = |cert: &str, key: &str| Pair { cert: cert.to_owned(), key: key.to_owned() };
    let encrypted = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let long = "#".repeat(1024 * 1024 + 1);
    for (pair, setting, words) in [
        (pair("", &good.key), "tls-cert-file", "no certificate"),
        (pair(&good.key, &good.key), "tls-cert-file", "no certificate"),
        (pair(broken, &good.key), "tls-cert-file", "its first certificate"),
        (pair("-----BEGIN CERTIFICATE-----\n", &good.key), "tls-cert-file", "PEM"),
        (pair(&long, &good.key), "tls-cert-file", "too large"),
        (pair(&good.cert, &long), "tls-key-file", "too large"),
        (pair(&good.cert, ""), "tls-cert-file", "server.key cannot be used"),
        (pair(&good.cert, &good.cert), "tls-cert-file", "server.key cannot be used"),
        (pair(&good.cert, &encrypted), "tls-cert-file", "not encrypted"),
        (pair(&good.cert, &other.key), "tls-cert-file", "server.key is not that"),
    ] {
        place.write(&pair);
        let error = place.wrong();
        assert!(error.setting == setting && error.what.contains(words), "{error}");
        assert!(!error.to_string().contains(good.key.lines().nth(1).unwrap()), "it shows the key");
    }
    let invalid = Invalid::from(place.wrong()).to_string();
    assert!(invalid.contains("tls-cert-file") && invalid.contains("server.key"), "{invalid}");
    place.write(&good);
    let folder = place.folder.path();
    for (name, text, words) in [("none.pem", None, "cannot be read"), ("bad.pem", Some(broken), "certificate 1")] {
        if let Some(text) = text {
            fs::write(folder.join(name), text).unwrap();
        }
        let error = Tls::open(&place.files(), Some(&folder.join(name))).unwrap_err();
        assert!(error.setting == "ingest-client-ca-file" && error.what.contains(words), "{error}");
    }
}

#[test]
fn the_end_of_the_certificate_is_known() {
    let place = Place::new();
    place.write(&place.authority.server_until(2020).unwrap());
    let not_after = place.tls().shared.0.read().unwrap().pair.not_after;
    assert_eq!(not_after, Some(1_577_836_800));
}
