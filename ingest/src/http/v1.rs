//! `POST /v1/notifications`: one notification, or a list.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::app::{Ingest, Outcome, Status};
use crate::intake::{Batch, Decision, Terms, decide, parse, text};

use super::problem::{self, Refusal};
use super::receive;

#[derive(Serialize)]
struct Results<'a> {
    results: &'a [Outcome],
}

pub(super) async fn post(State(ingest): State<Ingest>, request: Request) -> Response {
    let received = match receive(&ingest, request).await {
        Ok(received) => received,
        Err(refusal) => return refusal.into_response(),
    };
    match decisions(&received.body, ingest.terms(&received.grant)) {
        Ok((decisions, is_batch)) => answer(&ingest.carry_out(decisions).await, is_batch),
        Err(refusal) => refusal.into_response(),
    }
}

fn decisions(body: &[u8], terms: Terms<'_>) -> Result<(Vec<Decision>, bool), Refusal> {
    match parse(&text(body), &mut String::new()) {
        Ok(Batch::One(draft)) => Ok((vec![decide(*draft, terms)], false)),
        Ok(Batch::Many(drafts)) => Ok((drafts.into_iter().map(|draft| decide(draft, terms)).collect(), true)),
        Ok(Batch::TooMany) => Err(Refusal::BatchTooLarge),
        Err(error) => Err(Refusal::Json(error.to_string())),
    }
}

/// 202 only if every notification is safe; 207 if some are, so that nobody takes it for 202 or repeats all.
fn answer(outcomes: &[Outcome], is_batch: bool) -> Response {
    let accepted = outcomes.iter().filter(|outcome| outcome.status == Status::Accepted).count();
    if accepted == 0 && !outcomes.is_empty() {
        return problem::none_accepted(outcomes, is_batch);
    }
    let status = if accepted == outcomes.len() { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    let mut response = problem::json(status, "application/json", &Results { results: outcomes });
    if outcomes.iter().any(|outcome| outcome.status == Status::Unavailable) {
        problem::retry_after(response.headers_mut());
    }
    response
}
