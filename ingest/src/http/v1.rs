//! `POST /v1/notifications`: one notification, or a list.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::join_all;
use serde::Serialize;

use bellwire_common::notification::Draft;

use crate::app::{Ingest, Outcome, Status};
use crate::intake::{Batch, decide, parse, text};

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
    let (text, mut mended) = (text(&received.body), String::new());
    let (drafts, is_batch) = match drafts(&text, &mut mended) {
        Ok(drafts) => drafts,
        Err(refusal) => return refusal.into_response(),
    };
    let found = join_all(drafts.iter().map(|draft| ingest.look_up(draft))).await;
    let terms = ingest.terms(&received.grant);
    let decided = drafts.into_iter().zip(found).map(|(draft, found)| decide(draft, found, terms)).collect();
    answer(&ingest.carry_out(received.began, decided).await, is_batch)
}

fn drafts<'a>(body: &'a str, mended: &'a mut String) -> Result<(Vec<Draft<'a>>, bool), Refusal> {
    match parse(body, mended) {
        Ok(Batch::One(draft)) => Ok((vec![*draft], false)),
        Ok(Batch::Many(drafts)) => Ok((drafts, true)),
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
    let mut response = problem::json(status, &Results { results: outcomes });
    if outcomes.iter().any(|outcome| outcome.status == Status::Unavailable) {
        problem::retry_after(response.headers_mut());
    }
    response
}
