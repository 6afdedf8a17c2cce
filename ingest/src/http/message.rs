//! `POST /message`: what openITCOCKPIT's commands send.
//!
//! Names of fields are known in any case, null is the same as absent, the content type does not matter. 200 says
//! that the notification is safe, also for a user without a tab and a host that nobody knows: the Go command takes
//! everything else for a failure. One for a user that openITCOCKPIT does not know is refused, as by the PHP command.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess};

use bellwire_common::notification::draft::{FromObject, Taken, read_object};
use bellwire_common::notification::limits::TIMESTAMP_SECONDS_MAX;
use bellwire_common::notification::{Draft, Field, FieldError, ObjectDraft};

use crate::app::{Ingest, Status};
use crate::id;
use crate::intake::{Decision, Terms, Verdict, checked, parse, text, verdict};
use crate::lookup::Found;

use super::problem::{self, Refusal};
use super::receive;

pub(super) async fn post(State(ingest): State<Ingest>, request: Request) -> Response {
    let received = match receive(&ingest, request).await {
        Ok(received) => received,
        Err(refusal) => return refusal.into_response(),
    };
    let (text, mut mended) = (text(&received.body), String::new());
    let sent = match sent(&text, &mut mended) {
        Ok(sent) => sent,
        Err(refusal) => return refusal.into_response(),
    };
    let found = ingest.look_up(&sent.draft).await;
    let decision = decide(sent, found, ingest.terms(&received.grant));
    let outcomes = ingest.carry_out(received.began, vec![decision]).await;
    let status = match outcomes[0].status {
        Status::Accepted => StatusCode::OK,
        Status::Stale => StatusCode::ACCEPTED,
        Status::Invalid | Status::Unavailable => return problem::none_accepted(&outcomes, false),
    };
    problem::json(status, &outcomes[0])
}

/// See [`super::message_record`].
pub(super) fn record(body: &[u8], terms: Terms<'_>) -> Option<Bytes> {
    match decide(sent(&text(body), &mut String::new()).ok()?, Found::default(), terms).verdict {
        Verdict::Append(_, record) => Some(record),
        Verdict::Stale | Verdict::Invalid(_) => None,
    }
}

/// A body that was read, and nothing checked yet.
struct Sent<'a> {
    draft: Draft<'a>,
    is_valid_user: bool,
}

fn sent<'a>(body: &'a str, mended: &'a mut String) -> Result<Sent<'a>, Refusal> {
    let message: Message<'_> = parse(body, mended).map_err(|error| Refusal::Json(error.to_string()))?;
    if let Some(what) = message.other {
        return Err(Refusal::Json(format!("an object is expected, not {what}")));
    }
    let user = match message.user_id {
        Field::Integer(id @ 1..) => Some(id.to_string()),
        _ => None,
    };
    let is_valid_user = user.is_some();
    Ok(Sent { draft: draft(message, user.unwrap_or_else(|| "0".to_owned())), is_valid_user })
}

/// The body as it was sent.
#[derive(Debug, Default)]
struct Message<'a> {
    timestamp: Field<'a>,
    user_id: Field<'a>,
    kind: Field<'a>,
    host_uuid: Field<'a>,
    service_uuid: Field<'a>,
    state: Field<'a>,
    notification_type: Field<'a>,
    output: Field<'a>,
    ack_author: Field<'a>,
    ack_comment: Field<'a>,
    /// Ours: the commands of openITCOCKPIT know no names, so they are looked up where these are not given.
    host_name: Field<'a>,
    service_name: Field<'a>,
    other: Option<&'static str>,
}

impl<'de> FromObject<'de> for Message<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        let fields = [
            ("timestamp", &mut self.timestamp),
            ("userId", &mut self.user_id),
            ("type", &mut self.kind),
            ("hostUuid", &mut self.host_uuid),
            ("serviceUuid", &mut self.service_uuid),
            ("state", &mut self.state),
            ("notificationtype", &mut self.notification_type),
            ("output", &mut self.output),
            ("ackauthor", &mut self.ack_author),
            ("ackcomment", &mut self.ack_comment),
            ("hostName", &mut self.host_name),
            ("serviceName", &mut self.service_name),
        ];
        let Some((_, field)) = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(key)) else {
            return Ok(Taken::No);
        };
        let value = map.next_value()?;
        if value != Field::Absent {
            *field = value;
        }
        Ok(Taken::Yes)
    }

    fn other(what: &'static str) -> Self {
        Self { other: Some(what), ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for Message<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

fn decide(sent: Sent<'_>, found: Found, terms: Terms<'_>) -> Decision {
    let Sent { mut draft, is_valid_user } = sent;
    let mut errors = Vec::new();
    let found = if is_valid_user {
        found
    } else {
        errors.push(FieldError { field: "userId".into(), message: "must be a whole number greater than 0".to_owned() });
        Found::default()
    };
    match checked(&mut draft, found, terms) {
        Ok(checked) if is_valid_user => {
            let id = id::derived(&draft);
            let verdict = match verdict(checked, id.clone(), terms) {
                Verdict::Invalid(found) => Verdict::Invalid(found.into_iter().map(rename).collect()),
                good => good,
            };
            Decision { verdict, id: Some(id), ignored: Vec::new() }
        }
        Ok(_) => Decision { id: None, verdict: Verdict::Invalid(errors), ignored: Vec::new() },
        Err(found) => {
            errors.extend(found.into_iter().map(rename));
            Decision { id: None, verdict: Verdict::Invalid(errors), ignored: Vec::new() }
        }
    }
}

/// Every type but `service` is a host's, as for the PHP command; the UUID of a host's service says nothing.
fn draft(message: Message<'_>, user: String) -> Draft<'_> {
    let kind = match message.kind {
        Field::Text(kind) if kind.eq_ignore_ascii_case("service") => "service".into(),
        Field::Text(_) | Field::Absent => "host".into(),
        other => other,
    };
    let timestamp = match message.timestamp {
        Field::Absent => Field::Integer(0),
        Field::Integer(seconds) => Field::Integer(seconds.clamp(0, TIMESTAMP_SECONDS_MAX)),
        other => other,
    };
    let service = if kind == Field::from("service") {
        ObjectDraft { id: message.service_uuid, name: message.service_name, other: None }
    } else {
        ObjectDraft::default()
    };
    Draft {
        user: user.into(),
        timestamp,
        kind,
        notification_type: message.notification_type,
        state: message.state,
        host: ObjectDraft { id: message.host_uuid, name: message.host_name, other: None },
        service,
        output: message.output,
        author: message.ack_author,
        comment: message.ack_comment,
        anonymous: true,
        ..Draft::default()
    }
}

/// The error under the name that its sender used.
fn rename(error: FieldError) -> FieldError {
    let field = match error.field.as_ref() {
        "user" => "userId",
        "kind" => "type",
        "type" => "notificationtype",
        "host.id" => "hostUuid",
        "host.name" => "hostName",
        "service.id" => "serviceUuid",
        "service.name" => "serviceName",
        "author" => "ackauthor",
        "comment" => "ackcomment",
        _ => return error,
    };
    FieldError { field: field.into(), ..error }
}
