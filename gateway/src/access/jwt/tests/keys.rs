//! Keys that are not taken.

use super::*;

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
fn an_error_does_not_quote_a_secret() {
    for bytes in
        [r#"{"keys":"a secret"}"#, r#""a secret""#, r#"{"keys":{"k":"a secret"}}"#, r#"{"keys":[{"k":"a secret"}"#]
    {
        let error = no_keys(bytes.as_bytes());
        assert!(!error.contains("secret"), "{error}");
        assert!(!bytes.starts_with('{') || error.contains(" at line 1 column "), "{error}");
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
