//! Whole tokens, good and bad. The keys in `testdata/jwt` were made with openssl for these tests.

mod claims;
mod fresh;
mod keys;
mod page;

use jsonwebtoken::{EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: UnixMillis = UnixMillis(1_795_000_000_000);
const NOW_S: u64 = NOW.0 / 1000;
const SECRET: &[u8] = b"a secret of 32 bytes and a few more";

// === keys ===

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/testdata/jwt/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn signer(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(SECRET),
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&file("rsa.pem")).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&file("p256.pem")).unwrap(),
        _ => EncodingKey::from_ed_pem(&file("ed25519.pem")).unwrap(),
    }
}

/// The public part, or the secret, as JSON.
fn jwk(algorithm: Algorithm) -> Value {
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&signer(algorithm), algorithm).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!(name(algorithm));
    jwk
}

fn name(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

fn tokens(keys: &[u8]) -> Tokens {
    Tokens::of("bellwire", None, KeySet::of_file(keys).unwrap())
}

fn all_keys() -> Tokens {
    tokens(&jwks(&ALGORITHMS.map(jwk)))
}

// === tokens ===

fn good() -> Value {
    json!({ "sub": "7", "aud": "bellwire", "iat": NOW_S, "exp": NOW_S + 300 })
}

fn signed(algorithm: Algorithm, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = crypto::sign(message.as_bytes(), &signer(algorithm), algorithm).unwrap();
    format!("{message}.{signature}")
}

fn header(algorithm: Algorithm) -> String {
    json!({ "typ": "JWT", "alg": algorithm, "kid": name(algorithm) }).to_string()
}

fn token(algorithm: Algorithm) -> String {
    signed(algorithm, &header(algorithm), &good().to_string())
}

/// What becomes of a payload with one more claim, or another one; null takes it away.
fn with(name: &str, value: Value) -> Result<Claims, Refused> {
    let mut payload = good();
    payload[name] = value;
    if payload[name].is_null() {
        payload.as_object_mut().unwrap().remove(name);
    }
    check(&payload.to_string())
}

fn check(payload: &str) -> Result<Claims, Refused> {
    all_keys().check(&signed(Algorithm::HS256, &header(Algorithm::HS256), payload), NOW)
}

fn refused(header: &str) -> Refused {
    all_keys().check(&signed(Algorithm::RS256, header, &good().to_string()), NOW).unwrap_err()
}

fn user_7(expires_at_s: u64) -> Claims {
    let expires_at = UnixMillis(expires_at_s * 1000 + EXPIRY_LEEWAY_MS);
    Claims { user: UserId::try_new("7").unwrap(), expires_at }
}

// === algorithms and keys ===

#[test]
fn each_algorithm_opens_with_its_key_only() {
    for algorithm in ALGORITHMS {
        assert_eq!(all_keys().check(&token(algorithm), NOW), Ok(user_7(NOW_S + 300)), "{algorithm:?}");
        let others: Vec<Value> = ALGORITHMS.into_iter().filter(|other| *other != algorithm).map(jwk).collect();
        assert_eq!(tokens(&jwks(&others)).check(&token(algorithm), NOW), Err(Refused::UnknownKey), "{algorithm:?}");
    }
}

#[test]
fn public_keys_in_pem_form_open_tokens_with_and_without_kid() {
    for (algorithm, name) in [(Algorithm::RS256, "rsa"), (Algorithm::ES256, "p256"), (Algorithm::EdDSA, "ed25519")] {
        let tokens = tokens(&file(&format!("{name}.pub.pem")));
        for header in [json!({ "alg": algorithm }), json!({ "alg": algorithm, "kid": "k1" })] {
            let token = signed(algorithm, &header.to_string(), &good().to_string());
            assert_eq!(tokens.check(&token, NOW), Ok(user_7(NOW_S + 300)), "{algorithm:?}");
        }
    }
    let three = ["rsa", "p256", "ed25519"].map(|name| file(&format!("{name}.pub.pem"))).concat();
    assert_eq!(KeySet::of_file(&three).unwrap().len(), 3);
}

#[test]
fn a_token_of_openitcockpit_is_accepted() {
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": "RS256" });
    let payload = json!({
        "iss": "openitcockpit:6b2a4b4e", "sub": "7", "aud": "bellwire", "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 900,
        "jti": "5f1d7a84db4e4f0a",
    });
    let token = signed(Algorithm::RS256, &header.to_string(), &payload.to_string());
    let keys = || KeySet::of_file(&jwks(&[jwk(Algorithm::RS256)])).unwrap();
    let strict = Tokens::of("bellwire", Some("openitcockpit:6b2a4b4e"), keys());
    assert_eq!(strict.check(&token, NOW), Ok(user_7(NOW_S + 900)));
    let other = Tokens::of("bellwire", Some("openitcockpit:other"), keys());
    assert_eq!(other.check(&token, NOW), Err(Refused::Issuer));
}

#[test]
fn a_token_without_signature_is_refused() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({ "alg": alg }).to_string();
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(good().to_string()));
        assert_eq!(all_keys().check(&format!("{message}."), NOW), Err(Refused::Algorithm), "{alg}");
    }
    for algorithm in ALGORITHMS {
        let token = token(algorithm);
        let (message, _) = token.rsplit_once('.').unwrap();
        assert_eq!(all_keys().check(&format!("{message}."), NOW), Err(Refused::Signature), "{algorithm:?}");
    }
}

/// The classic confusion: what everybody knows of an RSA key, taken for a secret.
#[test]
fn a_public_key_is_no_secret() {
    let pem = file("rsa.pub.pem");
    let der = pem.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"-")).collect::<Vec<_>>().concat();
    let n = jwk(Algorithm::RS256)["n"].as_str().unwrap().to_owned();
    for secret in [pem.as_slice(), pem.trim_ascii(), &der, n.as_bytes(), &URL_SAFE_NO_PAD.decode(&n).unwrap()] {
        for kid in [json!("RS256"), json!("HS256"), Value::Null] {
            let header = json!({ "alg": "HS256", "kid": kid }).to_string();
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(good().to_string()));
            let key = EncodingKey::from_secret(secret);
            let token = format!("{message}.{}", crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap());
            assert!(tokens(&pem).check(&token, NOW).is_err());
            assert!(all_keys().check(&token, NOW).is_err());
        }
    }
}

#[test]
fn other_algorithms_are_refused_with_a_good_key_too() {
    for alg in ["HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES256K", "RSA1_5", "rs256", "EDDSA", "RS256 "] {
        let header = json!({ "alg": alg, "kid": "RS256" }).to_string();
        assert_eq!(refused(&header), Refused::Algorithm, "{alg}");
    }
    let token = signed(Algorithm::HS256, r#"{"alg":"HS256","kid":"RS256"}"#, &good().to_string());
    assert_eq!(all_keys().check(&token, NOW), Err(Refused::Algorithm));
}

#[test]
fn a_kid_is_a_name_and_nothing_else() {
    let huge = "k".repeat(2000);
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "RS256' OR '1'='1",
        "rs256",
        "RS256 ",
        "",
        "https://evil.example",
        &huge,
    ] {
        assert_eq!(refused(&json!({ "alg": "RS256", "kid": kid }).to_string()), Refused::UnknownKey, "{kid}");
    }
    for kid in [json!(7), json!(["RS256"]), json!({})] {
        assert_eq!(refused(&json!({ "alg": "RS256", "kid": kid }).to_string()), Refused::Malformed);
    }
}

#[test]
fn a_key_in_the_token_does_not_count() {
    let other = EncodingKey::from_secret(&[b'x'; 32]);
    let mut own = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([b'x'; 32]), "kid": "own" });
    own["alg"] = json!("HS256");
    for extra in
        [json!({ "jwk": own }), json!({ "jku": "https://evil.example/keys" }), json!({ "x5u": "https://evil.example" })]
    {
        let mut header = json!({ "alg": "HS256", "kid": "HS256" });
        header.as_object_mut().unwrap().append(&mut extra.as_object().unwrap().clone());
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(good().to_string()));
        let token = format!("{message}.{}", crypto::sign(message.as_bytes(), &other, Algorithm::HS256).unwrap());
        assert_eq!(all_keys().check(&token, NOW), Err(Refused::Signature));
    }
}

#[test]
fn headers_that_can_be_read_in_two_ways_are_refused() {
    for header in [
        r#"{"alg":"none","alg":"RS256","kid":"RS256"}"#,
        r#"{"alg":"RS256","alg":"RS256"}"#,
        r#"{"alg":"RS256","kid":"RS256","kid":"other"}"#,
        r#"{"alg":"RS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"RS256","crit":[]}"#,
        r#"{"alg":["RS256"]}"#,
        r#"{"kid":"RS256"}"#,
        r#"["RS256"]"#,
        "RS256",
        "",
    ] {
        assert_eq!(refused(header), Refused::Malformed, "{header}");
    }
}

#[test]
fn of_many_keys_without_name_only_a_few_are_tried() {
    let nameless = |secret: &[u8]| json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret) });
    let mut keys: Vec<Value> = (0..3).map(|n| nameless(&[n; 32])).collect();
    keys.push(nameless(SECRET));
    let token = signed(Algorithm::HS256, r#"{"alg":"HS256"}"#, &good().to_string());
    assert!(tokens(&jwks(&keys)).check(&token, NOW).is_ok());
    keys.insert(0, nameless(&[9; 32]));
    assert_eq!(tokens(&jwks(&keys)).check(&token, NOW), Err(Refused::Signature));
    // Keys for other algorithms are none of them.
    keys[0] = jwk(Algorithm::RS256);
    assert!(tokens(&jwks(&keys)).check(&token, NOW).is_ok());
}

#[test]
fn keys_of_one_name_are_all_tried() {
    let mut old = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([1; 32]), "kid": "HS256" });
    assert!(tokens(&jwks(&[old.clone(), jwk(Algorithm::HS256)])).check(&token(Algorithm::HS256), NOW).is_ok());
    // One without a name is not, where there is one of that name.
    old["k"] = jwk(Algorithm::HS256)["k"].clone();
    old.as_object_mut().unwrap().remove("kid");
    let mut other = jwk(Algorithm::HS256);
    other["k"] = json!(URL_SAFE_NO_PAD.encode([1; 32]));
    assert_eq!(tokens(&jwks(&[old, other])).check(&token(Algorithm::HS256), NOW), Err(Refused::Signature));
}

// === forms ===

#[test]
fn what_is_no_token_is_malformed() {
    let token = token(Algorithm::HS256);
    let mut parts = token.split('.');
    let [header, payload, signature] = [(); 3].map(|()| parts.next().unwrap());
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b".into(),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}={}.{signature}", &payload[1..]),
        format!(" {token}"),
        format!("Bearer {token}"),
        format!("{header}ä.{payload}.{signature}"),
    ] {
        let refused = all_keys().check(&text, NOW).unwrap_err();
        assert!(matches!(refused, Refused::Malformed | Refused::Signature), "{text}: {refused:?}");
    }
    for tail in [".", ".x", "=", "A", " ", "\n"] {
        assert!(all_keys().check(&format!("{token}{tail}"), NOW).is_err(), "{tail:?}");
    }
}

#[test]
fn a_token_must_fit_in_a_handshake() {
    let of_length = |fill: usize| {
        let mut payload = good();
        payload["fill"] = json!("x".repeat(fill));
        signed(Algorithm::HS256, &header(Algorithm::HS256), &payload.to_string())
    };
    let most = (0..4096).rev().find(|fill| of_length(*fill).len() <= TOKEN_BYTES_MAX).unwrap();
    assert!(all_keys().check(&of_length(most), NOW).is_ok());
    assert_eq!(all_keys().check(&of_length(most + 1), NOW), Err(Refused::TooLarge));
}

#[test]
fn labels_are_those_of_the_catalogue() {
    let values = bellwire_common::metrics::GATEWAY_TOKENS_REFUSED.0.labels[0].values;
    assert_eq!(Refused::ALL.map(Refused::label), values);
}

#[test]
fn nothing_is_shown_of_keys() {
    let keys = KeySet::of_file(&jwks(&[jwk(Algorithm::HS256)])).unwrap();
    let shown = format!("{keys:?} {:?}", all_keys());
    let secret = jwk(Algorithm::HS256)["k"].as_str().unwrap().to_owned();
    assert!(!shown.contains(&secret) && !shown.contains(&format!("{SECRET:?}")), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is changed in a token, it is not accepted.
    #[test]
    fn no_other_byte_is_accepted(at in 0_usize..4096, byte in any::<u8>(), which in 0_usize..4) {
        let (tokens, token) = (all_keys(), token(ALGORITHMS[which]));
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(tokens.check(&text, NOW).is_err());
        }
    }
}

/// The last character of a signature has bits that stand for nothing.
#[test]
fn the_last_character_is_the_only_one_too() {
    for algorithm in ALGORITHMS {
        let token = token(algorithm);
        let (head, last) = token.split_at(token.len() - 1);
        for other in ('0'..='z').chain(['-', '=']).filter(|other| !last.starts_with(*other)) {
            assert!(all_keys().check(&format!("{head}{other}"), NOW).is_err(), "{algorithm:?} {other}");
        }
    }
}
