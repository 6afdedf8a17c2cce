//! What an HTTP answer to a notification means. Pure.

use serde::Deserialize;

/// Largest answer that is read, in bytes: one result is far below it.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Type of ingest's errors.
const PROBLEM: &str = "application/problem+json";

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Ingest has it, confirmed by its log.
    Safe,
    /// It is too old to be shown.
    Stale,
    /// No ingest would take it; repeating it is useless. Says why.
    Refused(String),
    /// Ingest is there, but its log does not take this user's notifications now; others may pass. Says why.
    Unavailable(String),
    /// This address does not take it now; another, or the same one later, may. Says why.
    Later(String),
}

/// Every answer of ingest; what is absent, and what cannot be read, is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    title: String,
    /// Repeats the HTTP status, in a problem.
    status: Option<u16>,
    detail: String,
    errors: Vec<FieldError>,
    results: Vec<ItemResult>,
}

#[derive(Deserialize)]
struct ItemResult {
    /// Null where ingest could not read it.
    #[serde(default)]
    id: Option<String>,
    status: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    #[serde(default)]
    field: String,
    #[serde(default)]
    message: String,
}

/// Judges the answer to the notification `id`.
///
/// Success needs the result for this id, not only a status: a proxy or another server at the address may say 200 to
/// everything. Likewise what ends the notification is final only where ingest itself says so, by a problem that
/// repeats the status: other servers word their errors in JSON, too.
pub(crate) fn judge(status: u16, content_type: &str, body: &[u8], id: &str) -> Answer {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let is_problem = is_problem_type(content_type) && body.status == Some(status);
    let is_final = is_problem && matches!(status, 400 | 413 | 415 | 422);
    if let Some(result) = body.results.first() {
        let is_ours = result.id.as_deref() == Some(id);
        return match result.status.as_str() {
            "accepted" | "duplicate" if is_ours && matches!(status, 200 | 202) => Answer::Safe,
            "stale" if is_ours && is_final => Answer::Stale,
            "invalid" if is_final => Answer::Refused(fields(&result.errors).unwrap_or_else(|| "invalid".to_owned())),
            "unavailable" if is_ours && is_problem => Answer::Unavailable(reason(status, &body)),
            other => Answer::Later(format!("HTTP status {status}, result {other:?}")),
        };
    }
    let reason = reason(status, &body);
    match status {
        _ if is_final => Answer::Refused(reason),
        200..=299 => Answer::Later(format!("{reason}, but no result for the notification: is it an ingest?")),
        300..=399 => Answer::Later(format!("{reason}, which is not followed")),
        401 | 403 => Answer::Later(format!("{reason} (see --token-file)")),
        400 | 404 | 405 | 413 | 415 | 422 => Answer::Later(format!("{reason}: is it an ingest?")),
        _ => Answer::Later(reason),
    }
}

fn is_problem_type(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(PROBLEM))
}

fn reason(status: u16, body: &Body) -> String {
    let mut text = format!("HTTP status {status}");
    for part in [&body.title, &body.detail] {
        if !part.is_empty() {
            text = format!("{text}: {part}");
        }
    }
    if let Some(fields) = fields(&body.errors) {
        text = format!("{text}: {fields}");
    }
    text
}

fn fields(errors: &[FieldError]) -> Option<String> {
    if errors.is_empty() {
        return None;
    }
    Some(errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";

    /// The answer of ingest with one result.
    fn result(http: u16, status: &str, id: &str) -> Answer {
        let results = format!(r#""results":[{{"id":"{id}","status":"{status}","errors":[]}}]"#);
        if http < 400 {
            judge(http, JSON, format!("{{{results}}}").as_bytes(), "a")
        } else {
            judge(http, PROBLEM, format!(r#"{{"title":"t","status":{http},{results}}}"#).as_bytes(), "a")
        }
    }

    fn problem(body: &str) -> Answer {
        judge(400, PROBLEM, body.as_bytes(), "a")
    }

    fn later(answer: &Answer) -> bool {
        matches!(answer, Answer::Later(_))
    }

    #[test]
    fn success_needs_the_result_of_this_notification() {
        assert_eq!(result(202, "accepted", "a"), Answer::Safe);
        assert_eq!(result(200, "accepted", "a"), Answer::Safe);
        assert_eq!(result(422, "stale", "a"), Answer::Stale);
        for (http, status, id) in
            [(202, "accepted", "b"), (422, "stale", "b"), (200, "stale", "a"), (503, "accepted", "a")]
        {
            assert!(later(&result(http, status, id)), "{http} {status} {id}");
        }
        for body in ["", "<html>Welcome</html>", "{}", r#"{"results":[]}"#, "[]"] {
            assert!(later(&judge(200, JSON, body.as_bytes(), "a")), "{body}");
        }
    }

    #[test]
    fn refusals_name_the_field() {
        let body = r#"{"status":400,"results":[{"id":"a","status":"invalid","errors":[{"field":"url","message":"too long"}]}]}"#;
        assert_eq!(problem(body), Answer::Refused("url: too long".into()));
        let body = r#"{"title":"Bad Request","status":400,"results":[{"id":null,"status":"invalid","errors":[{"field":"id","message":"x"}]}]}"#;
        assert_eq!(problem(body), Answer::Refused("id: x".into()));
        let body =
            r#"{"title":"bad body","status":400,"detail":"no JSON","errors":[{"field":"user","message":"is empty"}]}"#;
        assert_eq!(problem(body), Answer::Refused("HTTP status 400: bad body: no JSON: user: is empty".into()));
        let body = br#"{"title":"too large","status":413}"#;
        let refused = Answer::Refused("HTTP status 413: too large".into());
        assert_eq!(judge(413, "Application/Problem+JSON; charset=utf-8", body, "a"), refused);
    }

    #[test]
    fn one_shards_outage_is_told_from_other_failures() {
        assert_eq!(result(503, "unavailable", "a"), Answer::Unavailable("HTTP status 503: t".into()));
        assert!(later(&result(503, "unavailable", "b")));
        assert!(later(&result(202, "unavailable", "a")));
        assert!(later(&judge(503, PROBLEM, br#"{"title":"x","status":503}"#, "a")));
    }

    #[test]
    fn what_another_ingest_or_a_later_time_may_mend() {
        for status in [301, 401, 403, 404, 405, 408, 429, 500, 502, 503, 504] {
            let body = format!(r#"{{"title":"x","status":{status}}}"#);
            assert!(later(&judge(status, PROBLEM, body.as_bytes(), "a")), "{status}");
        }
        for status in [400, 413, 415, 422] {
            let problem = format!(r#"{{"title":"x","status":{status}}}"#);
            for other in ["", JSON, "text/html", "application/problem+jsonx"] {
                assert!(later(&judge(status, other, problem.as_bytes(), "a")), "{status} {other}");
            }
            let spring = format!(r#"{{"timestamp":1,"status":{status},"error":"Bad Request"}}"#);
            assert!(later(&judge(status, JSON, spring.as_bytes(), "a")), "{spring}");
            for body in ["", "{}", "[]", "null", "400", r#"{"title":"x"}"#, r#"{"status":404}"#, r#"{"status":"400"}"#]
            {
                assert!(later(&judge(status, PROBLEM, body.as_bytes(), "a")), "{status} {body}");
            }
        }
        assert!(later(&judge(400, "text/html", b"<h1>plain HTTP request was sent to HTTPS port</h1>", "a")));
    }
}
