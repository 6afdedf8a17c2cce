//! From what was sent to what is shown, or to one error for each field that is not as it must be.

use std::borrow::Cow;

use serde::Serialize;

use crate::ids::{IdError, NotificationId, UnixMillis, UserId};

use super::draft::{Draft, Field, ObjectDraft};
use super::limits::{self, Lines, shown};
use super::wording::{self, Facts};
use super::{Kind, Notification, Object};

/// A notification that may be appended, unless it is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The sender's id, if there was one.
    pub id: Option<NotificationId>,
    /// Who receives.
    pub user: UserId,
    /// The smaller of the engine's time and `now`, and the time to live.
    pub expires_at: UnixMillis,
    /// It had expired before it was checked.
    pub stale: bool,
    /// What is shown.
    pub notification: Notification,
}

/// What is wrong with one field. There is never more than one for the same field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Its name, as in `host.id`; empty for the whole notification.
    pub field: Cow<'static, str>,
    /// What it must be, with the limit; reads on from the name.
    pub message: String,
}

/// The title of a message that has only a body.
pub const MESSAGE_TITLE: &str = "Message";

/// Checks a draft at the time `now`. `ttl_default_ms` counts where the draft has no `ttl`, up to the longest
/// that is allowed.
pub fn check(draft: &Draft<'_>, now: UnixMillis, ttl_default_ms: u64) -> Result<Checked, Vec<FieldError>> {
    let mut checker = Checker::default();
    if let Some(what) = draft.other {
        checker.error("", format!("must be an object, is {what}"));
        return Err(checker.errors);
    }
    let id = checker.optional_id("id", &draft.id, NotificationId::try_new);
    let user = checker.required_id("user", &draft.user, UserId::try_new);
    let (timestamp, expires_at) = checker.times(draft, now, ttl_default_ms);
    let notification = checker.notification(draft, timestamp);
    match (user, checker.errors.is_empty()) {
        (Some(user), true) => Ok(Checked { id, user, expires_at, stale: expires_at < now, notification }),
        _ => Err(checker.errors),
    }
}

#[derive(Default)]
struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    fn error(&mut self, field: &'static str, message: impl Into<String>) {
        if !self.is_bad(field) {
            self.errors.push(FieldError { field: field.into(), message: message.into() });
        }
    }

    fn is_bad(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    fn times(&mut self, draft: &Draft<'_>, now: UnixMillis, ttl_default_ms: u64) -> (i64, UnixMillis) {
        let ttl = self.integer("ttl", &draft.ttl, limits::TTL_SECONDS_MIN, limits::TTL_SECONDS_MAX);
        let ttl_max_ms = limits::TTL_SECONDS_MAX.unsigned_abs() * 1000;
        let ttl_ms = ttl.map_or(ttl_default_ms.min(ttl_max_ms), |seconds| seconds.unsigned_abs() * 1000);
        match self.integer("timestamp", &draft.timestamp, 0, limits::TIMESTAMP_SECONDS_MAX) {
            Some(seconds) => (seconds, UnixMillis(seconds.unsigned_abs() * 1000).min(now).plus(ttl_ms)),
            None => (i64::try_from(now.0 / 1000).unwrap_or(i64::MAX), now.plus(ttl_ms)),
        }
    }

    fn notification(&mut self, draft: &Draft<'_>, timestamp: i64) -> Notification {
        let kind = self.kind(draft);
        let notification_type = self.text("type", &draft.notification_type, limits::TYPE_BYTES_MAX);
        let notification_type = shown(notification_type, limits::TYPE_BYTES_MAX, Lines::One);
        let state = self.integer("state", &draft.state, limits::STATE_MIN, limits::STATE_MAX).unwrap_or(0);
        let host = self.object(&HOST, &draft.host, kind != Kind::Message, draft.anonymous);
        let service = self.object(&SERVICE, &draft.service, kind == Kind::Service, draft.anonymous);
        let facts = Facts {
            is_service: kind == Kind::Service,
            notification_type: &notification_type,
            state,
            host: host.as_ref(),
            service: service.as_ref(),
            output: self.text("output", &draft.output, limits::OUTPUT_BYTES_MAX),
            author: self.text("author", &draft.author, limits::AUTHOR_BYTES_MAX),
            comment: self.text("comment", &draft.comment, limits::COMMENT_BYTES_MAX),
        };
        let given_title = self.text("title", &draft.title, limits::TITLE_BYTES_MAX);
        let mut title = shown(given_title, limits::TITLE_SHOWN_BYTES_MAX, Lines::One);
        let given_body = self.text("body", &draft.body, limits::BODY_BYTES_MAX);
        let mut body = shown(given_body, limits::BODY_SHOWN_BYTES_MAX, Lines::Many);
        let url = self.link("url", &draft.url, limits::URL_BYTES_MAX);
        let mut icon = self.link("icon", &draft.icon, limits::ICON_BYTES_MAX);
        if kind == Kind::Message {
            if title.is_empty() && body.is_empty() {
                self.error("title", "must not be empty where there is no body (kind message)");
            }
            if title.is_empty() {
                MESSAGE_TITLE.clone_into(&mut title);
            }
        } else {
            if title.is_empty() {
                title = wording::title(&facts);
            }
            if body.is_empty() {
                body = wording::body(&facts);
            }
            icon = icon.or_else(|| wording::icon(&facts).map(str::to_owned));
        }
        let (host, service) = (host.filter(has_id), service.filter(has_id));
        Notification { timestamp, kind, notification_type, state, host, service, title, body, url, icon }
    }

    fn kind(&mut self, draft: &Draft<'_>) -> Kind {
        let kind = self.text("kind", &draft.kind, limits::KIND_BYTES_MAX).trim();
        if self.is_bad("kind") {
            return Kind::Host;
        }
        if kind.is_empty() {
            return match (draft.service.is_absent(), draft.host.is_absent()) {
                (false, _) => Kind::Service,
                (true, false) => Kind::Host,
                (true, true) => Kind::Message,
            };
        }
        let known =
            [Kind::Host, Kind::Service, Kind::Message].into_iter().find(|k| kind.eq_ignore_ascii_case(k.word()));
        known.unwrap_or_else(|| {
            self.error("kind", "must be host, service or message");
            Kind::Host
        })
    }

    /// The host or the service. `wanted` tells whether the kind has one.
    fn object(&mut self, names: &Names, draft: &ObjectDraft<'_>, wanted: bool, anonymous: bool) -> Option<Object> {
        if draft.is_absent() {
            if wanted && !anonymous && !self.is_bad("kind") {
                self.error(names.id, "must not be empty");
            }
            return None;
        }
        if let Some(what) = draft.other {
            self.error(names.object, format!("must be an object, is {what}"));
            return None;
        }
        if !wanted && !self.is_bad("kind") {
            self.error(names.object, "must not be given for this kind");
            return None;
        }
        let id = self.id_text(names.id, &draft.id);
        let id = id.trim();
        if id.is_empty() && !anonymous {
            self.error(names.id, "must not be empty");
        } else if id.len() > limits::OBJECT_ID_BYTES_MAX {
            self.error(names.id, at_most(limits::OBJECT_ID_BYTES_MAX));
        } else if id.contains(char::is_control) {
            self.error(names.id, "must not contain control characters");
        }
        let name = self.text(names.name, &draft.name, limits::NAME_BYTES_MAX);
        let name = if name.trim().is_empty() { id } else { name };
        let name = shown(name, limits::NAME_SHOWN_BYTES_MAX, Lines::One);
        // Not as it is shown: the id is what a click looks for, and `Disk C:\new` holds no line end.
        Some(Object { id: id.to_owned(), name })
    }

    fn link(&mut self, field: &'static str, value: &Field<'_>, bytes_max: usize) -> Option<String> {
        let text = self.text(field, value, bytes_max);
        if text.is_empty() {
            return None;
        }
        if field == "icon" && !limits::is_path(text) {
            self.error(field, "must be a path that begins with one /");
        } else if !limits::is_link(text) {
            self.error(field, "must be an http or https address, or a path that begins with one /");
        }
        Some(text.to_owned())
    }

    fn text<'d>(&mut self, field: &'static str, value: &'d Field<'_>, bytes_max: usize) -> &'d str {
        match value {
            Field::Absent => "",
            Field::Text(text) if text.len() <= bytes_max => text,
            Field::Text(_) => {
                self.error(field, at_most(bytes_max));
                ""
            }
            Field::Integer(_) | Field::Other(_) => {
                self.error(field, format!("must be a text, is {}", value.what()));
                ""
            }
        }
    }

    fn integer(&mut self, field: &'static str, value: &Field<'_>, min: i64, max: i64) -> Option<i64> {
        match value {
            Field::Absent => None,
            Field::Integer(number) if (min..=max).contains(number) => Some(*number),
            Field::Integer(_) | Field::Text(_) | Field::Other(_) => {
                self.error(field, format!("must be a whole number from {min} to {max}"));
                None
            }
        }
    }

    /// Ids that are numbers elsewhere, as openITCOCKPIT's users are, may be sent as such.
    fn id_text<'d>(&mut self, field: &'static str, value: &'d Field<'_>) -> Cow<'d, str> {
        match value {
            Field::Absent => Cow::Borrowed(""),
            Field::Text(text) => Cow::Borrowed(text),
            Field::Integer(number) => Cow::Owned(number.to_string()),
            Field::Other(what) => {
                self.error(field, format!("must be a text, is {what}"));
                Cow::Borrowed("")
            }
        }
    }

    fn optional_id<T>(
        &mut self,
        field: &'static str,
        value: &Field<'_>,
        new: fn(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        if *value == Field::Absent { None } else { self.required_id(field, value, new) }
    }

    fn required_id<T>(
        &mut self,
        field: &'static str,
        value: &Field<'_>,
        new: fn(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        let text = self.id_text(field, value);
        new(&text).map_err(|error| self.error(field, error.to_string())).ok()
    }
}

/// The names of an object's fields in errors.
struct Names {
    object: &'static str,
    id: &'static str,
    name: &'static str,
}

const HOST: Names = Names { object: "host", id: "host.id", name: "host.name" };
const SERVICE: Names = Names { object: "service", id: "service.id", name: "service.name" };

/// Without one there is a name for the words, but nothing that a click could lead to; openITCOCKPIT's tabs take an
/// empty id for one.
fn has_id(object: &Object) -> bool {
    !object.id.is_empty()
}

fn at_most(bytes_max: usize) -> String {
    format!("must be at most {bytes_max} bytes")
}

#[cfg(test)]
mod tests;
