//! What tokens must say.

use super::*;

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
