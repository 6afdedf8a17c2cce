//! Keys that change.

use std::time::Duration;

use axum::http::StatusCode;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::tab::PATIENCE;
use tokio::sync::watch;

use super::super::source::{self, Address, Source};
use super::*;

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, jwks(&[jwk(Algorithm::ES256)])).unwrap();
    let (source, keys) = source::file(&path).unwrap();
    let tokens = Tokens::with("bellwire", None, keys, source);
    assert!(tokens.check(&token(Algorithm::ES256), NOW).is_ok());
    assert!(tokens.check(&token(Algorithm::EdDSA), NOW).is_err());
    let _following = Following::start(&tokens);
    std::fs::write(folder.path().join("new"), jwks(&[jwk(Algorithm::EdDSA)])).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    until(|| tokens.check(&token(Algorithm::EdDSA), NOW).is_ok()).await;
    assert!(tokens.check(&token(Algorithm::ES256), NOW).is_err(), "a key that was taken away counts no more");
}

#[tokio::test]
async fn an_address_is_asked_for_a_key_that_is_not_known_and_known_keys_stay() {
    let (say, answers) = watch::channel((StatusCode::OK, jwks(&[jwk(Algorithm::ES256)])));
    let (count, mut counted) = watch::channel(0_u32);
    let answer = move || {
        count.send_modify(|count| *count += 1);
        std::future::ready(answers.borrow().clone())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let app = axum::Router::new().route("/keys", axum::routing::get(answer));
        axum::serve(listener, app).await
    });
    let address = Address::new(&url, None).at_most_every(Duration::from_millis(20));
    let tokens = Tokens::with("bellwire", None, KeySet::default(), Source::Address(address));
    assert_eq!(tokens.check(&token(Algorithm::ES256), NOW), Err(Refused::UnknownKey));
    let _following = Following::start(&tokens);
    until(|| tokens.check(&token(Algorithm::ES256), NOW).is_ok()).await;

    say.send((StatusCode::OK, jwks(&[jwk(Algorithm::EdDSA), jwk(Algorithm::ES256)]))).unwrap();
    until(|| tokens.check(&token(Algorithm::EdDSA), NOW).is_ok()).await;

    for bad in [
        (StatusCode::SERVICE_UNAVAILABLE, vec![]),
        (StatusCode::OK, b"{}".to_vec()),
        (StatusCode::OK, vec![b' '; KEYS_BYTES_MAX + 1]),
    ] {
        say.send(bad).unwrap();
        let before = *counted.borrow_and_update();
        assert_eq!(tokens.check(&token(Algorithm::RS256), NOW), Err(Refused::UnknownKey));
        // The second question comes when the first has been taken.
        counted.wait_for(|count| *count >= before + 2).await.unwrap();
        assert!(tokens.check(&token(Algorithm::EdDSA), NOW).is_ok());
    }
    server.abort();
}

/// Follows until it is dropped.
struct Following(tokio::task::JoinHandle<()>);

impl Following {
    fn start(tokens: &Tokens) -> Self {
        Self(tokio::spawn(tokens.clone().follow()))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn until(holds: impl Fn() -> bool) {
    eventually("the keys that are waited for", PATIENCE, || std::future::ready(Ok(holds().then_some(()))))
        .await
        .unwrap();
}
