//! Errors as `application/problem+json` (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[derive(Serialize)]
struct Problem<'a, T> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    more: T,
}

#[derive(Serialize)]
struct Nothing {}

/// An error, with what is wrong for people.
pub fn problem(status: StatusCode, detail: &str) -> Response {
    problem_with(status, detail, Nothing {})
}

/// The same, with the fields of `more` behind the usual ones.
pub fn problem_with(status: StatusCode, detail: &str, more: impl Serialize) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail, more };
    let body = serde_json::to_vec(&problem).expect("texts and numbers are always JSON");
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_has_the_usual_fields_and_then_its_own() {
        #[derive(Serialize)]
        struct More {
            errors: Vec<u8>,
        }
        let body = async |response: Response| {
            let bytes = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let plain = problem(StatusCode::NOT_FOUND, "nothing");
        assert_eq!(plain.headers()[header::CONTENT_TYPE], "application/problem+json");
        let usual = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"nothing""#;
        assert_eq!(body(plain).await, format!("{usual}}}"));
        let more = problem_with(StatusCode::NOT_FOUND, "nothing", More { errors: vec![7] });
        assert_eq!(body(more).await, format!(r#"{usual},"errors":[7]}}"#));
    }
}
