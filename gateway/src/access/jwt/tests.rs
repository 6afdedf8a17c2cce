use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Value, json};

use super::*;

const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

fn signed(header: &Value, payload: &Value) -> String {
    signed_raw(&header.to_string(), &payload.to_string(), &key("rsa"), Algorithm::RS256)
}

fn signed_raw(header: &str, payload: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn key(name: &str) -> EncodingKey {
    let pem = file(&format!("{name}.pem"));
    match name {
        "rsa" => EncodingKey::from_rsa_pem(&pem),
        "p256" => EncodingKey::from_ec_pem(&pem),
        _ => EncodingKey::from_ed_pem(&pem),
    }
    .unwrap()
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/testdata/jwt/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn first() {
    let settings = Jwt { keys: JwtKeys::Url(String::new()), audience: "bellwire".into(), issuer: None };
    let tokens = Tokens::of(&settings, KeySet::of_file(&file("rsa.pub.pem")).unwrap());
    let exp = NOW.0 / 1000 + 300;
    let token = signed(&json!({"alg": "RS256"}), &json!({"sub": "7", "aud": "bellwire", "exp": exp}));
    assert_eq!(
        tokens.check(&token, NOW),
        Ok(Claims { user: UserId::try_new("7").unwrap(), expires_at: UnixMillis(exp * 1000 + EXPIRY_LEEWAY_MS) })
    );
}
