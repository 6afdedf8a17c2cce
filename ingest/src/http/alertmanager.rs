//! `POST /v1/alertmanager` and `POST /v1/alertmanager/USER`: webhooks of Alertmanager and Grafana.
//!
//! Alertmanager takes any 2xx for success and repeats a request at once after a 5xx only. So 503 answers a request of
//! which anything is not known to be safe, whatever became of the rest: its ids make the repeat harmless. What a repeat
//! would not mend is no reason for one.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;

use bellwire_common::metrics::INGEST_ALERTS_DROPPED;
use bellwire_common::notification::{FieldError, Kind};

use crate::alerts::{self, Alerts, Payload, Users};
use crate::app::{Ingest, Outcome, Status};
use crate::intake::{Terms, Verdict, parse, text};

use super::problem::{self, Refusal};
use super::receive;

#[derive(Serialize)]
struct Results<'a> {
    results: &'a [Outcome],
    #[serde(skip_serializing_if = "is_zero")]
    without_user: usize,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
}

pub(super) async fn post(State(ingest): State<Ingest>, request: Request) -> Response {
    let label = &ingest.settings().user_label;
    answer(&ingest, Users::Label(label), request).await
}

pub(super) async fn post_to(
    State(ingest): State<Ingest>,
    users: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // What cannot be decoded names no user that there can be.
    let users = users.map_or_else(|_| "\u{fffd}".to_owned(), |Path(users)| users);
    answer(&ingest, Users::Path(&users), request).await
}

/// See [`super::alert_records`].
pub(super) fn records(body: &[u8], users: Users<'_>, terms: Terms<'_>) -> Vec<Bytes> {
    let decided = decide(body, users, terms).unwrap_or_default();
    let append = |verdict| if let Verdict::Append(_, record) = verdict { Some(record) } else { None };
    decided.decisions.into_iter().filter_map(|decision| append(decision.verdict)).collect()
}

async fn answer(ingest: &Ingest, users: Users<'_>, request: Request) -> Response {
    let received = match receive(ingest, request).await {
        Ok(received) => received,
        Err(refusal) => return refusal.into_response(),
    };
    let alerts = match decide(&received.body, users, ingest.terms(&received.grant)) {
        Ok(alerts) => alerts,
        Err(refusal) => return refusal.into_response(),
    };
    let Alerts { mut decisions, users: receivers, unmapped, left_out } = alerts;
    ingest.turn_away(&mut decisions, &receivers, Kind::Service).await;
    INGEST_ALERTS_DROPPED.with(&["no_user"]).increment(unmapped as u64);
    INGEST_ALERTS_DROPPED.with(&["no_room"]).increment(left_out as u64);
    let outcomes = ingest.carry_out(received.began, decisions).await;
    let accepted = outcomes.iter().filter(|outcome| outcome.status == Status::Accepted).count();
    let is_unsafe = outcomes.iter().any(|outcome| outcome.status == Status::Unavailable);
    let dropped = unmapped + left_out;
    if is_unsafe || (accepted == 0 && !outcomes.is_empty()) {
        return problem::none_accepted(&outcomes, true);
    }
    if accepted == 0 && dropped > 0 {
        return nobody(users);
    }
    let is_whole = accepted == outcomes.len() && dropped == 0;
    let status = if is_whole { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    problem::json(status, &Results { results: &outcomes, without_user: unmapped, left_out })
}

fn decide(body: &[u8], users: Users<'_>, terms: Terms<'_>) -> Result<Alerts, Refusal> {
    let (text, mut mended) = (text(body), String::new());
    let payload: Payload<'_> = parse(&text, &mut mended).map_err(|error| Refusal::Json(error.to_string()))?;
    payload.error().map_or_else(|| Ok(alerts::decide(&payload, users, terms)), |error| Err(Refusal::Json(error)))
}

/// There were alerts, and no user for any.
fn nobody(users: Users<'_>) -> Response {
    let field = match users {
        Users::Label(label) => format!("alerts[].labels.{label}"),
        Users::Path(_) => "path".to_owned(),
    };
    let message = "must name the user, or several with commas between them; /v1/alertmanager/USER names them for all";
    let error = FieldError { field: field.into(), message: message.to_owned() };
    problem::answer(StatusCode::BAD_REQUEST, "no alert has a user", vec![error], &[])
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
