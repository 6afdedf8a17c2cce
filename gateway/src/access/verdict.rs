//! What openITCOCKPIT's answer says, and what follows from it. Pure.

use bellwire_common::ids::UserId;
use bellwire_common::settings::SessionCheck;
use serde::Deserialize;

/// Whose login the cookies of a browser are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This user's.
    Yes(UserId),
    /// Nobody's.
    No,
    /// There was no answer of use to these cookies, though openITCOCKPIT is there.
    Unclear,
    /// openITCOCKPIT is away.
    Away,
}

/// What becomes of somebody who knows the shared key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Comes in by the login; who has not said yet for which user may say only the login's.
    Login,
    /// Comes in though nobody could be asked; asked again as soon as there is somebody.
    Unchecked,
    /// Comes in as the user of checks, and as no other.
    CheckUser,
    /// Is refused: the login is not that user's.
    Refuse,
    /// Is refused: nobody could be asked.
    RefuseForNow,
}

impl Verdict {
    /// What an answer means (openITCOCKPIT facts, 6.3); of a redirect also where it leads. One that leads elsewhere than to the
    /// login says nothing of the cookies: the address may have the wrong scheme, and would keep everybody out.
    #[must_use]
    pub fn of(status: u16, body: &[u8], location: Option<&str>) -> Self {
        match status {
            200 => user_of(body).map_or(Self::Unclear, Self::Yes),
            300..=399 if location.is_some_and(is_login_page) => Self::No,
            400 | 401 | 403 => Self::No,
            // Others than openITCOCKPIT itself may have made it: a gateway's time-out, a missing program.
            _ => Self::Unclear,
        }
    }
}

fn is_login_page(location: &str) -> bool {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').ends_with("/users/login")
}

/// Whether somebody is there who answers what nobody can be refused for: the request without cookies. Errors of the
/// server are what a proxy says for one that is away.
pub(super) fn is_there(status: u16) -> bool {
    status < 500
}

/// `claimed` is the user as far as it is known before the tab speaks; `is_native` lets the user of checks in.
pub(super) fn judge(mode: SessionCheck, verdict: &Verdict, claimed: Option<&UserId>, is_native: bool) -> Judgement {
    match verdict {
        Verdict::Yes(user) if claimed.is_none_or(|claimed| claimed == user) => Judgement::Login,
        Verdict::No if claimed.is_none() && is_native => Judgement::CheckUser,
        Verdict::Yes(_) | Verdict::No => Judgement::Refuse,
        Verdict::Away if mode == SessionCheck::KeyIfAway => Judgement::Unchecked,
        Verdict::Unclear | Verdict::Away => Judgement::RefuseForNow,
    }
}

fn user_of(body: &[u8]) -> Option<UserId> {
    #[derive(Deserialize)]
    struct Answer {
        user: User,
    }
    #[derive(Deserialize)]
    struct User {
        id: i64,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    if answer.user.id > 0 { UserId::try_new(&answer.user.id.to_string()).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> UserId {
        UserId::try_new(text).unwrap()
    }

    #[test]
    fn answers_are_read() {
        let yes =
            br#"{"websocket":{"SUDO_SERVER.API_KEY":"k"},"user":{"id":7,"hasPushContact":false},"_csrfToken":"x"}"#;
        assert_eq!(Verdict::of(200, yes, None), Verdict::Yes(user("7")));
        for status in [400, 401, 403] {
            assert_eq!(Verdict::of(status, yes, None), Verdict::No, "{status}");
        }
        for status in [100, 201, 204, 301, 302, 307, 404, 405, 408, 429, 500, 502, 503, 504] {
            assert_eq!(Verdict::of(status, yes, None), Verdict::Unclear, "{status}");
        }
        for (location, expected) in [
            ("/users/login", Verdict::No),
            ("https://monitoring.example/users/login?redirect=%2Fangular", Verdict::No),
            ("/users/login/", Verdict::No),
            ("https://monitoring.example/angular/push_configuration.json", Verdict::Unclear),
            ("https://sso.example/auth?back=/users/login", Verdict::Unclear),
            ("", Verdict::Unclear),
        ] {
            assert_eq!(Verdict::of(302, yes, Some(location)), expected, "{location}");
        }
        assert_eq!(Verdict::of(404, yes, Some("/users/login")), Verdict::Unclear);
        for body in [
            "",
            "<html>log in</html>",
            "[]",
            "{}",
            r#"{"user":null}"#,
            r#"{"user":{}}"#,
            r#"{"user":{"id":0}}"#,
            r#"{"user":{"id":-7}}"#,
            r#"{"user":{"id":7.5}}"#,
            r#"{"user":{"id":null}}"#,
            r#"{"user":{"id":7},"user":{"id":8}}"#,
            r#"{"user":{"id":7}} x"#,
        ] {
            assert_eq!(Verdict::of(200, body.as_bytes(), None), Verdict::Unclear, "{body}");
        }
    }

    #[test]
    fn only_a_site_that_is_away_makes_the_key_enough() {
        use Judgement::{CheckUser, Login, Refuse, RefuseForNow, Unchecked};
        use SessionCheck::{KeyIfAway, Required};
        let (seven, eight) = (user("7"), user("8"));
        let yes = Verdict::Yes(seven.clone());
        for (verdict, claimed, is_native, required, if_away) in [
            (&yes, Some(&seven), false, Login, Login),
            (&yes, Some(&eight), false, Refuse, Refuse),
            (&yes, None, false, Login, Login),
            (&yes, None, true, Login, Login),
            (&Verdict::No, Some(&seven), true, Refuse, Refuse),
            (&Verdict::No, None, false, Refuse, Refuse),
            (&Verdict::No, None, true, CheckUser, CheckUser),
            (&Verdict::Unclear, Some(&seven), false, RefuseForNow, RefuseForNow),
            (&Verdict::Away, Some(&seven), false, RefuseForNow, Unchecked),
            (&Verdict::Away, None, true, RefuseForNow, Unchecked),
        ] {
            assert_eq!(judge(Required, verdict, claimed, is_native), required, "{verdict:?} {claimed:?}");
            assert_eq!(judge(KeyIfAway, verdict, claimed, is_native), if_away, "{verdict:?} {claimed:?}");
        }
    }
}
