//! Whole tokens, good and bad. The keys in `testdata/jwt` were made with openssl for these tests.

use std::time::Duration;

use axum::http::StatusCode;
use jsonwebtoken::{EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::source::Address;
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

// === claims ===

#[test]
fn the_user_is_a_text_or_a_number() {
    assert_eq!(with("sub", json!(7)), Ok(user_7(NOW_S + 300)));
    assert_eq!(with("sub", json!("a.b@c")).unwrap().user.as_str(), "a.b@c");
    for sub in [Value::Null, json!(""), json!("a b"), json!("ä"), json!("x".repeat(65))] {
        assert_eq!(with("sub", sub.clone()), Err(Refused::Subject), "{sub}");
    }
    for sub in [json!(7.5), json!(-7), json!(["7"]), json!(true), json!({ "id": 7 })] {
        assert_eq!(with("sub", sub.clone()), Err(Refused::Malformed), "{sub}");
    }
}

#[test]
fn the_audience_must_be_this_one() {
    for aud in [json!("bellwire"), json!(["bellwire"]), json!(["other", "bellwire"])] {
        assert!(with("aud", aud.clone()).is_ok(), "{aud}");
    }
    for aud in [Value::Null, json!("other"), json!([]), json!(["bellwire2"]), json!("Bellwire"), json!("bellwire ")] {
        assert_eq!(with("aud", aud.clone()), Err(Refused::Audience), "{aud}");
    }
    for aud in [json!(7), json!({ "bellwire": true }), json!(["bellwire", 7])] {
        assert_eq!(with("aud", aud.clone()), Err(Refused::Malformed), "{aud}");
    }
}

#[test]
fn the_issuer_must_be_the_one_that_is_set() {
    let tokens = Tokens::of("bellwire", Some("site"), KeySet::of_file(&jwks(&[jwk(Algorithm::HS256)])).unwrap());
    for (iss, answer) in
        [(json!("site"), Ok(())), (json!("other"), Err(Refused::Issuer)), (Value::Null, Err(Refused::Issuer))]
    {
        let mut payload = good();
        payload["iss"] = iss;
        let token = signed(Algorithm::HS256, &header(Algorithm::HS256), &payload.to_string());
        assert_eq!(tokens.check(&token, NOW).map(|_| ()), answer);
    }
}

#[test]
fn a_token_ends() {
    // The leeway: 5 s.
    assert_eq!(with("exp", json!(NOW_S - 4)), Ok(user_7(NOW_S - 4)));
    for exp in [json!(NOW_S - 5), json!(0), json!(-1), json!(-1e300), json!(1.5)] {
        assert_eq!(with("exp", exp.clone()), Err(Refused::Expired), "{exp}");
    }
    for exp in [json!(NOW_S + 86_400 + 31), json!(u64::MAX), json!(1e300)] {
        assert_eq!(with("exp", exp.clone()), Err(Refused::TooLong), "{exp}");
    }
    for exp in [Value::Null, json!("1900000000"), json!([1]), json!(true)] {
        assert_eq!(with("exp", exp.clone()), Err(Refused::Malformed), "{exp}");
    }
    let fraction = with("exp", json!(NOW_S as f64 + 0.5)).unwrap();
    assert_eq!(fraction.expires_at, NOW.plus(500 + EXPIRY_LEEWAY_MS));
    assert_eq!(with("exp", json!(NOW_S + 86_400)), Ok(user_7(NOW_S + 86_400)));
}

/// However little of its life is left.
#[test]
fn a_token_that_was_made_for_longer_than_a_day_is_refused() {
    assert_eq!(with("iat", json!(NOW_S - 86_400 * 30)), Err(Refused::TooLong));
    assert!(with("iat", json!(NOW_S - 86_000)).is_ok());
    let no_iat = json!({ "sub": "7", "aud": "bellwire", "exp": NOW_S + 86_400 + 31 });
    assert_eq!(check(&no_iat.to_string()), Err(Refused::TooLong));
}

#[test]
fn a_token_begins() {
    for claim in ["nbf", "iat"] {
        assert!(with(claim, json!(NOW_S + 30)).is_ok());
        assert_eq!(with(claim, json!(NOW_S + 31)), Err(Refused::NotYet));
        assert_eq!(with(claim, json!("now")), Err(Refused::Malformed));
    }
}

#[test]
fn a_claim_may_come_once() {
    let payload = good().to_string();
    let rest = payload.strip_prefix('{').unwrap();
    for claim in [r#""sub":"1""#, r#""aud":"other""#, r#""exp":1"#, r#""iat":1"#] {
        assert_eq!(check(&format!("{{{claim},{rest}")), Err(Refused::Malformed), "{claim}");
    }
    for twice in [r#""iss":"a","iss":"b""#, r#""nbf":1,"nbf":2"#] {
        assert_eq!(check(&format!("{{{twice},{rest}")), Err(Refused::Malformed), "{twice}");
    }
    assert!(check(&format!("{{\"x\":1,\"x\":2,{rest}")).is_ok(), "what does not count does not harm");
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

// === keys that are not taken ===

fn no_keys(bytes: &[u8]) -> String {
    KeySet::of_file(bytes).unwrap_err().to_string()
}

#[test]
fn keys_that_are_of_no_use_are_passed_over() {
    let mut of_encryption = jwk(Algorithm::RS256);
    of_encryption["use"] = json!("enc");
    let mut of_signing = jwk(Algorithm::RS256);
    of_signing["key_ops"] = json!(["sign"]);
    let mut of_pss = jwk(Algorithm::RS256);
    of_pss["alg"] = json!("PS256");
    let mut off_the_curve = jwk(Algorithm::ES256);
    off_the_curve["y"] = off_the_curve["x"].clone();
    let mut short = jwk(Algorithm::ES256);
    short["x"] = json!(URL_SAFE_NO_PAD.encode([1; 31]));
    let mut exponent = jwk(Algorithm::RS256);
    exponent["e"] = json!("AQ");
    let mut even = jwk(Algorithm::RS256);
    even["e"] = json!("Ag");
    for (key, why) in [
        (of_encryption, "is not for checking"),
        (of_signing, "is not for checking"),
        (of_pss, "is not RSA for RS256"),
        (off_the_curve, "is spelled wrongly"),
        (short, "is spelled wrongly"),
        (exponent, "is spelled wrongly"),
        (even, "is spelled wrongly"),
        (json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }), "is too weak"),
        (json!({ "kty": "RSA", "n": "", "e": "AQAB" }), "is spelled wrongly"),
        (json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([255; 513]), "e": "AQAB" }), "is too weak or too large"),
        (json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" }), "is not RSA"),
        (json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }), "is not RSA"),
        (json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }), "is spelled wrongly"),
        (json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([1; 31]) }), "is too weak"),
        (json!({ "kty": "oct", "k": "+/=" }), "is spelled wrongly"),
        (json!({ "kty": "oct" }), "is spelled wrongly"),
        (json!({ "kty": "AKP" }), "is not RSA"),
        (json!({}), "is spelled wrongly"),
        (json!(null), "is spelled wrongly"),
    ] {
        let alone = no_keys(&jwks(std::slice::from_ref(&key)));
        assert!(alone.contains(why), "{key}: {alone}");
        let set = KeySet::of_file(&jwks(&[key, jwk(Algorithm::EdDSA)])).unwrap();
        assert_eq!((set.len(), set.skipped()), (1, 1));
    }
}

#[test]
fn sets_have_limits() {
    let key = jwk(Algorithm::HS256);
    assert_eq!(KeySet::of_file(&jwks(&vec![key.clone(); KEYS_LEN_MAX])).unwrap().len(), KEYS_LEN_MAX);
    assert_eq!(no_keys(&jwks(&vec![key.clone(); KEYS_LEN_MAX + 1])), "there must be at most 64 keys");
    let pem = file("ed25519.pub.pem").repeat(KEYS_LEN_MAX + 1);
    assert_eq!(no_keys(&pem), "there must be at most 64 keys");
    let mut large = jwks(&[key]);
    large.resize(KEYS_BYTES_MAX + 1, b' ');
    assert_eq!(no_keys(&large), "keys must have at most 262144 bytes");
    large.pop();
    assert!(KeySet::of_file(&large).is_ok());
}

#[test]
fn what_has_no_keys_says_so() {
    for (bytes, why) in [
        (b"".as_slice(), "there is no key"),
        (b"hello", "there is no key"),
        (b"\xff\xfe", "it is no text"),
        (b"{}", "missing field `keys`"),
        (b"{\"keys\":[]}", "there is no key"),
        (b"{\"keys\":7}", "invalid type"),
        (b"{\"keys\":[],\"keys\":[]}", "duplicate field"),
        (b"{\"keys\":[{\"kty\":", "EOF"),
    ] {
        assert!(no_keys(bytes).contains(why), "{}", no_keys(bytes));
    }
}

#[test]
fn pem_has_public_keys_only() {
    for name in ["rsa", "p256", "ed25519"] {
        assert!(no_keys(&file(&format!("{name}.pem"))).contains("has a PRIVATE KEY"), "{name}");
    }
    let certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(no_keys(certificate).contains("has a CERTIFICATE"));
    assert!(no_keys(&file("rsa1024.pub.pem")).contains("too weak"));
    assert!(no_keys(&file("p384.pub.pem")).contains("is not RSA"));
    assert!(no_keys(b"-----BEGIN PUBLIC KEY-----\nAAAA").contains("is spelled wrongly"));
}

/// Every way to cut it or to change a byte of its frame.
#[test]
fn a_damaged_key_is_none_or_another_one() {
    let pem = String::from_utf8(file("ed25519.pub.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let as_pem = |der: &[u8]| {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n").into_bytes()
    };
    assert!(KeySet::of_file(&as_pem(&der)).is_ok());
    for len in 0..der.len() {
        assert!(KeySet::of_file(&as_pem(&der[..len])).is_err(), "{len}");
    }
    assert!(KeySet::of_file(&as_pem(&[&*der, &[0]].concat())).is_err());
    for at in 0..der.len() - 32 {
        let mut der = der.clone();
        der[at] ^= 1;
        assert!(KeySet::of_file(&as_pem(&der)).is_err(), "{at}");
    }
}

#[test]
fn an_answer_has_no_secrets() {
    let mixed = jwks(&[jwk(Algorithm::HS256), jwk(Algorithm::ES256)]);
    let set = KeySet::of_answer(&mixed).unwrap();
    assert_eq!((set.len(), set.skipped()), (1, 1));
    let alone = KeySet::of_answer(&jwks(&[jwk(Algorithm::HS256)])).unwrap_err().to_string();
    assert!(alone.contains("is a secret"), "{alone}");
    assert!(KeySet::of_answer(&file("rsa.pub.pem")).is_err(), "PEM is for files");
}

// === fresh keys ===

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

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// === docs/tokens.md ===

const PAGE: &str = include_str!("../../../../docs/tokens.md");

/// The commands of the page make a key and a token that opens.
#[test]
fn a_token_of_the_page_opens() {
    let blocks: Vec<&str> = PAGE.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let folder = tempfile::tempdir().unwrap();
    let script = format!("set -euo pipefail\n{}", blocks.concat());
    let shell = std::process::Command::new("bash").arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let token = String::from_utf8(shell.stdout).unwrap();
    let tokens = tokens(&std::fs::read(folder.path().join("gateway.pem")).unwrap());
    let now = UnixMillis::now();
    let claims = tokens.check(token.trim_end(), now).unwrap();
    assert_eq!(claims.user.as_str(), "7");
    assert!(claims.expires_at <= now.plus(300_000 + EXPIRY_LEEWAY_MS));
}

#[test]
fn the_page_names_every_reason_and_limit() {
    for refused in Refused::ALL {
        assert!(PAGE.contains(&format!("`{}`", refused.label())), "{refused:?}");
    }
    assert!(PAGE.contains(&format!("at most {TOKEN_BYTES_MAX} bytes")));
    assert!(PAGE.contains(&format!(
        "taken until {} s later. At most {} h",
        EXPIRY_LEEWAY_MS / 1000,
        LIFETIME_MAX_MS / 3_600_000
    )));
    assert!(PAGE.contains(&format!("up to {} s ahead", SKEW_MS / 1000)));
}
