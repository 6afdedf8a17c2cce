//! Users' tokens and their keys.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellwire_common::ids::{UnixMillis, UserId};
use bellwire_gateway::access::jwt::{
    EXPIRY_LEEWAY_MS, KEYS_LEN_MAX, KeySet, LIFETIME_MAX_MS, Refused, SKEW_MS, TOKEN_BYTES_MAX, Tokens,
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

/// Where the clock stands when tokens are checked, in milliseconds.
const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

const KEYS: &[u8] = include_bytes!("../../gateway/testdata/jwt/keys.json");
const SECRET: &[u8] = b"a secret of 32 bytes and a few more";

/// All tokens that these keys have ever signed.
const SIGNED: [&str; 4] = [
    include_str!("../corpus/token/hs256"),
    include_str!("../corpus/token/rs256"),
    include_str!("../corpus/token/es256"),
    include_str!("../corpus/token/eddsa"),
];

static TOKENS: LazyLock<Tokens> =
    LazyLock::new(|| Tokens::of("bellwire", None, KeySet::of_file(KEYS).expect("the keys are of use")));

/// Any bytes as a file with keys, and as an answer: what is taken has keys, not too many, and checks a token. An answer
/// may also have none, where a file must not.
pub fn keys(bytes: &[u8]) {
    let file = KeySet::of_file(bytes);
    match KeySet::of_answer(bytes) {
        Ok(answer) if answer.is_empty() => assert!(answer.skipped() == 0 && file.is_err()),
        Ok(answer) => {
            let file = file.as_ref().expect("a file may have what an answer has");
            assert_eq!(answer.len() + answer.skipped(), file.len() + file.skipped());
            assert!(answer.len() <= file.len());
        }
        Err(_) => {}
    }
    let Ok(keys) = file else { return };
    assert!(!keys.is_empty() && keys.len() + keys.skipped() <= KEYS_LEN_MAX);
    let tokens = Tokens::of("bellwire", None, keys);
    for token in SIGNED {
        let refused = tokens.check(token, NOW).err();
        assert!(matches!(refused, None | Some(Refused::UnknownKey | Refused::Algorithm | Refused::Signature)));
    }
}

/// Any text as a token: none is good but those that were signed.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let checked = TOKENS.check(text, NOW);
    assert_eq!(checked.is_ok(), SIGNED.contains(&text), "{checked:?}");
}

/// Any bytes as the claims of a token that is signed: who is let in is a user, and not for too long.
pub fn claims(bytes: &[u8]) {
    let message = format!("{}.{}", base64url(br#"{"alg":"HS256","kid":"HS256"}"#), base64url(bytes));
    let key = EncodingKey::from_secret(SECRET);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("a secret signs");
    let token = format!("{message}.{signature}");
    match TOKENS.check(&token, NOW) {
        Ok(claims) => {
            assert!(UserId::try_new(claims.user.as_str()).is_ok());
            assert!(claims.expires_at > NOW);
            let last = NOW.plus(SKEW_MS + LIFETIME_MAX_MS + EXPIRY_LEEWAY_MS + SKEW_MS);
            assert!(claims.expires_at <= last, "{:?}", claims.expires_at);
            assert!(token.len() <= TOKEN_BYTES_MAX);
        }
        Err(refused) => {
            assert!(!matches!(refused, Refused::Algorithm | Refused::UnknownKey | Refused::Signature), "{refused:?}");
            assert_eq!(refused == Refused::TooLarge, token.len() > TOKEN_BYTES_MAX);
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
