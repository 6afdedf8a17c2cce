//! One line of the tokens file: `TOKEN` or `NAME:TOKEN`, then what it may, as `users=7,8` and `paths=/message`. Pure.

use bellwire_common::ids::{IdError, UserId};

use super::{Grant, PATHS, TOKEN_BYTES_MAX, TOKEN_NAME_BYTES_MAX};

/// What is wrong with a line. Quotes nothing of it: a slip of the pen may have put the token anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error("a token must consist of visible ASCII characters")]
    Characters,
    #[error("a token must be at most {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the name of a token must be at most {TOKEN_NAME_BYTES_MAX} visible ASCII characters")]
    Name,
    #[error("behind a token may stand users= and paths=, nothing else")]
    Word,
    #[error("users= stands there twice")]
    UsersTwice,
    #[error("paths= stands there twice")]
    PathsTwice,
    #[error("users= must name users with commas between them; one of them {0}")]
    User(IdError),
    #[error("paths= must name {list}, with commas between them", list = PATHS.join(" or "))]
    Path,
}

/// The token and what it may. The line is trimmed, not empty and no comment.
pub(super) fn parse(line: &str) -> Result<(&str, Grant), LineError> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let (name, token) = match first.split_once(':') {
        None => ("", first),
        Some((name, "")) => (name, words.next().unwrap_or_default()),
        Some((name, token)) => (name, token),
    };
    if token.is_empty() || !is_visible(token) {
        return Err(LineError::Characters);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(LineError::TooLong);
    }
    if name.len() > TOKEN_NAME_BYTES_MAX || !is_visible(name) {
        return Err(LineError::Name);
    }
    let mut grant = Grant { name: name.to_owned(), ..Grant::default() };
    for word in words {
        match word.split_once('=') {
            Some(("users", list)) => once(&mut grant.users, users(list)?, LineError::UsersTwice)?,
            Some(("paths", list)) => once(&mut grant.paths, paths(list)?, LineError::PathsTwice)?,
            _ => return Err(LineError::Word),
        }
    }
    Ok((token, grant))
}

fn once<T>(place: &mut Option<T>, value: T, twice: LineError) -> Result<(), LineError> {
    if place.replace(value).is_some() { Err(twice) } else { Ok(()) }
}

fn users(list: &str) -> Result<Vec<UserId>, LineError> {
    list.split(',').map(|user| UserId::try_new(user).map_err(LineError::User)).collect()
}

fn paths(list: &str) -> Result<Vec<&'static str>, LineError> {
    list.split(',').map(|path| PATHS.into_iter().find(|known| *known == path).ok_or(LineError::Path)).collect()
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(line: &str) -> (&str, Grant) {
        parse(line).unwrap()
    }

    #[test]
    fn names_and_words_are_read() {
        let named = |name: &str| Grant { name: name.into(), ..Grant::default() };
        assert_eq!(ok("secret"), ("secret", Grant::default()));
        assert_eq!(ok("poller:secret"), ("secret", named("poller")));
        assert_eq!(ok("poller: secret"), ("secret", named("poller")));
        assert_eq!(ok(":a:b"), ("a:b", named("")));
        let user = |id| UserId::try_new(id).unwrap();
        let all = Grant {
            name: "am".into(),
            users: Some(vec![user("7"), user("alice:x")]),
            paths: Some(vec!["/message", "/v1/alertmanager"]),
        };
        assert_eq!(ok("am:secret users=7,alice:x\tpaths=/message,/v1/alertmanager"), ("secret", all));
    }

    #[test]
    fn everything_else_is_refused() {
        for (line, error) in [
            ("name:", LineError::Characters),
            ("sécret", LineError::Characters),
            ("näme:secret", LineError::Name),
            ("secret secret", LineError::Word),
            ("name : secret", LineError::Word),
            ("secret user=7", LineError::Word),
            ("secret Users=7", LineError::Word),
            ("secret users=7 users=8", LineError::UsersTwice),
            ("secret paths=/message paths=/message", LineError::PathsTwice),
            ("secret users=", LineError::User(IdError::Empty)),
            ("secret users=7,", LineError::User(IdError::Empty)),
            ("secret users=ä", LineError::User(IdError::Character)),
            ("secret paths=", LineError::Path),
            ("secret paths=/messages", LineError::Path),
            ("secret paths=/v1/alertmanager/7", LineError::Path),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
        assert_eq!(parse(&"x".repeat(TOKEN_BYTES_MAX + 1)), Err(LineError::TooLong));
        assert_eq!(parse(&format!("{}:secret", "x".repeat(TOKEN_NAME_BYTES_MAX + 1))), Err(LineError::Name));
        let paths = LineError::Path.to_string();
        assert_eq!(
            paths,
            "paths= must name /v1/notifications or /message or /v1/alertmanager, with commas between them"
        );
    }
}
