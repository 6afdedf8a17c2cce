//! What is shown: the checked notification, as ingest writes it and gateways read it.
//!
//! [`Draft`] is what was sent, [`check()`] turns it into a [`Notification`] or into one error for each bad field;
//! the limits stand in [`limits`], the words of titles and bodies in a module of their own. All of it is pure.

use serde::{Deserialize, Serialize};

mod check;
pub mod draft;
pub mod limits;
pub mod surrogates;
mod wording;

pub use check::{Checked, FieldError, MESSAGE_TITLE, check};
pub use draft::{Draft, Field, ObjectDraft};

/// Where ingest takes them by HTTP.
pub const PATH: &str = "/v1/notifications";

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A host of the monitoring engine.
    Host,
    /// A service of the monitoring engine.
    Service,
    /// A plain text, from a test button or a program.
    Message,
}

/// A host or a service, as the engine knows it and as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The engine's name: in openITCOCKPIT a UUID.
    pub id: String,
    /// The name to show; the id where no better one is known.
    pub name: String,
}

/// A notification with everything decided: what it shows and what it is about.
///
/// Its id, user and expiry stand in the record's head ([`crate::record::Notify`]); this is the payload,
/// as JSON. Absent and empty fields are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The engine's time, in seconds since 1970.
    pub timestamp: i64,
    /// What it is about.
    pub kind: Kind,
    /// The engine's notification type: `PROBLEM`, `RECOVERY`, `ACKNOWLEDGEMENT`, ...; may be empty.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub notification_type: String,
    /// The engine's state number of the host or service; 0 for a message.
    #[serde(default)]
    pub state: i64,
    /// The host, for hosts and services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Object>,
    /// The service, for services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Object>,
    /// First line shown.
    pub title: String,
    /// Text below it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Where a click leads; none lets the front end decide from host and service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Path of the icon; none where the type has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

impl Kind {
    /// Its name in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Service => "service",
            Self::Message => "message",
        }
    }
}
