//! What a sender may do. Pure.

use bellwire_common::ids::UserId;
use bellwire_common::notification;

/// Where a notification can be sent to; a grant names some of them.
pub const PATHS: [&str; 3] = [notification::PATH, "/message", "/v1/alertmanager"];

/// What a sender may do: everything, unless its token says otherwise.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token's name, for people; may be empty.
    pub name: String,
    /// Who may be notified; none: everybody.
    pub users: Option<Vec<UserId>>,
    /// Which of [`PATHS`] are open, with what is below them; none: all.
    pub paths: Option<Vec<&'static str>>,
}

impl Grant {
    /// Whether `user` may be notified.
    #[must_use]
    pub fn has_user(&self, user: &UserId) -> bool {
        self.users.as_ref().is_none_or(|users| users.contains(user))
    }

    /// Whether something may be sent to `path`.
    #[must_use]
    pub fn has_path(&self, path: &str) -> bool {
        let is_in =
            |known: &&str| path.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.paths.as_ref().is_none_or(|paths| paths.iter().any(is_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_what_is_below_it() {
        let grant = Grant { paths: Some(vec!["/v1/alertmanager"]), ..Grant::default() };
        assert!(grant.has_path("/v1/alertmanager") && grant.has_path("/v1/alertmanager/7"));
        for other in ["/v1", "/v1/alertmanagers", "/v1/notifications", "/message", ""] {
            assert!(!grant.has_path(other), "{other}");
        }
        assert!(PATHS.iter().all(|path| Grant::default().has_path(path)));
    }
}
