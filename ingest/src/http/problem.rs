//! Errors as `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use bellwire_common::http::problem_with;
use bellwire_common::local::NotLocal;
use bellwire_common::metrics;
use bellwire_common::notification::FieldError;

use crate::app::{Outcome, Status};
use crate::failures::FAILURES_PER_MINUTE_MAX;
use crate::intake::BATCH_ITEMS_MAX;

use super::{BODY_BYTES_MAX, RETRY_AFTER_SECONDS};

/// Most field errors that stand in a problem; the results of a batch name all.
pub const ERRORS_MAX: usize = 100;

/// Why a request is refused as a whole.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The path has another method; holds which.
    Method(&'static str),
    /// It came without the certificate that senders need.
    ClientCertificate,
    /// It has no token, or a wrong one.
    Token,
    /// Too many wrong tokens came from its address; holds the seconds to wait.
    Failures(u64),
    /// Its token may not send to this path.
    Scope,
    /// There are no tokens, and it does not come from this machine.
    NotLocal(NotLocal),
    /// Its body is compressed.
    MediaType,
    /// Too much is in progress.
    Overloaded,
    /// Its body is larger than [`BODY_BYTES_MAX`].
    BodyTooLarge,
    /// Its body did not come in time.
    Timeout,
    /// Its body ended too early.
    Incomplete,
    /// Its body is not what it must be; says where.
    Json(String),
    /// It has more than [`BATCH_ITEMS_MAX`] notifications.
    BatchTooLarge,
}

#[derive(Serialize)]
struct Outcomes<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    results: &'a [Outcome],
}

/// Answers a request to any other path.
pub async fn not_found() -> Response {
    answer(StatusCode::NOT_FOUND, "there is nothing at this path", Vec::new(), &[])
}

/// A problem; 503 says when to try again.
pub(super) fn answer(status: StatusCode, detail: &str, errors: Vec<FieldError>, results: &[Outcome]) -> Response {
    let mut response = problem_with(status, detail, Outcomes { errors, results });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        retry_after(response.headers_mut());
    }
    response
}

/// Any other answer.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let body = serde_json::to_vec(body).expect("texts and numbers are always JSON");
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Tells when to try again.
pub(super) fn retry_after(headers: &mut HeaderMap) {
    headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
}

/// No notification of the request was accepted: 503 if repeating it may help, 400 if there are bad fields, 422 if all
/// have expired.
pub(super) fn none_accepted(outcomes: &[Outcome], is_batch: bool) -> Response {
    let has = |status| outcomes.iter().any(|outcome| outcome.status == status);
    let (status, detail) = if has(Status::Unavailable) {
        (StatusCode::SERVICE_UNAVAILABLE, "the log does not take notifications now")
    } else if has(Status::Invalid) {
        (StatusCode::BAD_REQUEST, "fields are not as they must be")
    } else {
        (StatusCode::UNPROCESSABLE_ENTITY, "it has expired: its timestamp and time to live are in the past")
    };
    answer(status, detail, errors(outcomes, is_batch), outcomes)
}

fn errors(outcomes: &[Outcome], is_batch: bool) -> Vec<FieldError> {
    let named = |(index, outcome): (usize, &Outcome)| {
        let rename = move |error: &FieldError| match (is_batch, error.field.is_empty()) {
            (false, _) => error.clone(),
            (true, true) => FieldError { field: Cow::Owned(format!("[{index}]")), message: error.message.clone() },
            (true, false) => {
                FieldError { field: Cow::Owned(format!("[{index}].{}", error.field)), message: error.message.clone() }
            }
        };
        outcome.errors.iter().map(rename).collect::<Vec<_>>()
    };
    outcomes.iter().enumerate().flat_map(named).take(ERRORS_MAX).collect()
}

// === impl Refusal ===

impl Refusal {
    /// Counts it, and answers it.
    pub(crate) fn into_response(self) -> Response {
        metrics::INGEST_REQUESTS_REFUSED.count(&[self.label()]);
        let mut response = answer(self.status(), &self.detail(), Vec::new(), &[]);
        if let Self::Failures(seconds) = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self, Self::Token) {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bellwire\""));
        }
        response
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Method(_) => "method",
            Self::ClientCertificate => "client_certificate",
            Self::Token => "token",
            Self::Failures(_) => "failures",
            Self::Scope => "scope",
            Self::NotLocal(NotLocal::Peer) => "peer",
            Self::NotLocal(NotLocal::Header(_)) => "forwarded",
            Self::MediaType => "media_type",
            Self::Overloaded => "overloaded",
            Self::BodyTooLarge => "body_too_large",
            Self::Timeout => "timeout",
            Self::Incomplete => "incomplete",
            Self::Json(_) => "json",
            Self::BatchTooLarge => "batch_too_large",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Failures(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::ClientCertificate | Self::NotLocal(_) | Self::Scope => StatusCode::FORBIDDEN,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTooLarge | Self::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Incomplete | Self::Json(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Method(allowed) => format!("only {allowed} is taken here").into(),
            Self::ClientCertificate => {
                "a client certificate is needed that an authority of ingest-client-ca-file has signed (bellwire-notify \
                 --client-cert and --client-key, curl --cert and --key)"
                    .into()
            }
            Self::Token => "a bearer token of this ingest is needed".into(),
            Self::Failures(seconds) => format!(
                "more than {FAILURES_PER_MINUTE_MAX} wrong tokens came from this address within a minute: the next wrong one is \
                 looked at in {seconds} s, a right one at any time"
            )
            .into(),
            Self::Scope => "this token may not send here: its scope (paths=) names other paths".into(),
            Self::NotLocal(NotLocal::Peer) => {
                "without an ingest tokens file only senders on the same machine are let in".into()
            }
            Self::NotLocal(NotLocal::Header(header)) => {
                format!("without an ingest tokens file nothing is taken from browsers and proxies (header {header})")
                    .into()
            }
            Self::MediaType => "the body must not be compressed".into(),
            Self::Overloaded => "too many requests are in progress".into(),
            Self::BodyTooLarge => format!("the body must be at most {BODY_BYTES_MAX} bytes").into(),
            Self::Timeout => "the body did not come in time".into(),
            Self::Incomplete => "the body ended too early".into(),
            Self::Json(error) => format!("the body is not what it must be: {error}").into(),
            Self::BatchTooLarge => {
                format!("there must be at most {BATCH_ITEMS_MAX} notifications in one request").into()
            }
        }
    }
}
