//! What an HTTP answer to a notification means. Pure.

use serde::Deserialize;

/// Largest answer that is read, in bytes: one result is far below it.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Ingest has it, confirmed by its log.
    Safe,
    /// It is too old to be shown.
    Stale,
    /// No ingest would take it; repeating it is useless. Says why.
    Refused(String),
    /// This ingest does not take it now; another, or the same one later, may. Says why.
    Later(String),
}

#[derive(Deserialize)]
struct Results {
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

/// `application/problem+json`.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

/// Judges the answer to the notification `id`.
///
/// Success needs the result for this id, not only a status: a proxy or another server at the address may say 200 to
/// everything. Likewise a refusal is final only when ingest itself says so.
pub(crate) fn judge(status: u16, body: &[u8], id: &str) -> Answer {
    if let Ok(Results { results }) = serde_json::from_slice(body)
        && let Some(result) = results.into_iter().next()
    {
        return judge_result(status, &result, id);
    }
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let reason = reason(status, problem.as_ref());
    match status {
        400 | 413 | 415 | 422 if problem.is_some() => Answer::Refused(reason),
        200..=299 => Answer::Later(format!("{reason}, but no result for the notification: is it an ingest?")),
        300..=399 => Answer::Later(format!("{reason}, which is not followed")),
        401 | 403 => Answer::Later(format!("{reason} (see --token-file)")),
        404 | 405 => Answer::Later(format!("{reason}: is it an ingest?")),
        _ => Answer::Later(reason),
    }
}

fn judge_result(status: u16, result: &ItemResult, id: &str) -> Answer {
    match (status, result.status.as_str()) {
        (_, "invalid") => Answer::Refused(fields(&result.errors).unwrap_or_else(|| "invalid".to_owned())),
        (_, "stale") => Answer::Stale,
        (200 | 202, "accepted" | "duplicate") if result.id.as_deref() == Some(id) => Answer::Safe,
        (_, other) => Answer::Later(format!("HTTP status {status}, result {other:?}")),
    }
}

fn reason(status: u16, problem: Option<&Problem>) -> String {
    let mut text = format!("HTTP status {status}");
    if let Some(problem) = problem {
        for part in [&problem.title, &problem.detail] {
            if !part.is_empty() {
                text = format!("{text}: {part}");
            }
        }
        if let Some(fields) = fields(&problem.errors) {
            text = format!("{text}: {fields}");
        }
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

    fn result(status: &str) -> String {
        format!(r#"{{"results":[{{"id":"a","status":"{status}","errors":[]}}]}}"#)
    }

    fn later(answer: &Answer) -> bool {
        matches!(answer, Answer::Later(_))
    }

    #[test]
    fn success_needs_the_result_of_this_notification() {
        assert_eq!(judge(202, result("accepted").as_bytes(), "a"), Answer::Safe);
        assert_eq!(judge(200, result("accepted").as_bytes(), "a"), Answer::Safe);
        assert_eq!(judge(200, result("stale").as_bytes(), "a"), Answer::Stale);
        assert!(later(&judge(202, result("accepted").as_bytes(), "b")));
        assert!(later(&judge(202, result("unavailable").as_bytes(), "a")));
        assert!(later(&judge(503, result("accepted").as_bytes(), "a")));
        for body in ["", "<html>Welcome</html>", "{}", r#"{"results":[]}"#, "[]"] {
            assert!(later(&judge(200, body.as_bytes(), "a")), "{body}");
        }
    }

    #[test]
    fn refusals_name_the_field() {
        let body = r#"{"results":[{"id":"a","status":"invalid","errors":[{"field":"url","message":"too long"}]}]}"#;
        assert_eq!(judge(400, body.as_bytes(), "a"), Answer::Refused("url: too long".into()));
        assert_eq!(judge(202, body.as_bytes(), "a"), Answer::Refused("url: too long".into()));
        let body = r#"{"title":"Bad Request","results":[{"id":null,"status":"invalid","errors":[{"field":"id","message":"x"}]}]}"#;
        assert_eq!(judge(400, body.as_bytes(), "a"), Answer::Refused("id: x".into()));
        let body = r#"{"title":"bad body","detail":"no JSON","errors":[{"field":"user","message":"is empty"}]}"#;
        let wanted = "HTTP status 400: bad body: no JSON: user: is empty".to_owned();
        assert_eq!(judge(400, body.as_bytes(), "a"), Answer::Refused(wanted));
        let body = br#"{"title":"too large"}"#;
        assert_eq!(judge(413, body, "a"), Answer::Refused("HTTP status 413: too large".into()));
    }

    #[test]
    fn what_another_ingest_or_a_later_time_may_mend() {
        for status in [301, 401, 403, 404, 405, 408, 429, 500, 502, 503, 504] {
            assert!(later(&judge(status, br#"{"title":"x"}"#, "a")), "{status}");
        }
        assert!(later(&judge(400, b"<h1>plain HTTP request was sent to HTTPS port</h1>", "a")));
    }
}
