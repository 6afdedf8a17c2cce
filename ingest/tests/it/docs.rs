//! The limits that `docs/ingest.md` names are those that hold.

use bellwire_common::ids::ID_BYTES_MAX;
use bellwire_common::notification::draft::IGNORED_FIELDS_MAX;
use bellwire_common::notification::limits::*;
use bellwire_common::watched::FILE_BYTES_MAX;
use bellwire_ingest::http::{BODY_BYTES_MAX as REQUEST_BYTES_MAX, ERRORS_MAX, RETRY_AFTER_SECONDS};
use bellwire_ingest::tokens::{TOKEN_BYTES_MAX, TOKEN_NAME_BYTES_MAX, TOKENS_MAX};
use bellwire_ingest::{
    ALERT_USERS_MAX, BATCH_ITEMS_MAX, FAILURES_PER_MINUTE_MAX, LABELS_MAX, Limits, SHOWN_AGAIN_AFTER_MS,
};

const DOC: &str = include_str!("../../../docs/ingest.md");

#[test]
fn the_documented_limits_hold() {
    let limits = Limits::default();
    let known = [
        ("body of a request", REQUEST_BYTES_MAX as i64, "bytes"),
        ("notifications in a request", BATCH_ITEMS_MAX as i64, "notifications"),
        ("time for the body", limits.body_timeout.as_secs() as i64, "seconds"),
        ("time for the log", limits.append_timeout.as_secs() as i64, "seconds"),
        ("bodies in progress", limits.bodies_bytes_max as i64, "bytes"),
        ("`Retry-After`", RETRY_AFTER_SECONDS as i64, "seconds"),
        ("`errors` of a problem", ERRORS_MAX as i64, "errors"),
        ("`ignored` of a result", IGNORED_FIELDS_MAX as i64, "names"),
        ("`id`, `user`", ID_BYTES_MAX as i64, "bytes"),
        ("`timestamp`", TIMESTAMP_SECONDS_MAX, "seconds since 1970"),
        ("`ttl`, least", TTL_SECONDS_MIN, "seconds"),
        ("`ttl`, most", TTL_SECONDS_MAX, "seconds"),
        ("`state`, least", STATE_MIN, ""),
        ("`state`, most", STATE_MAX, ""),
        ("`kind`", KIND_BYTES_MAX as i64, "bytes"),
        ("`type`", TYPE_BYTES_MAX as i64, "bytes"),
        ("`host.id`, `service.id`", OBJECT_ID_BYTES_MAX as i64, "bytes"),
        ("`host.name`, `service.name`", NAME_BYTES_MAX as i64, "bytes"),
        ("a name, shown", NAME_SHOWN_BYTES_MAX as i64, "bytes"),
        ("`output`", OUTPUT_BYTES_MAX as i64, "bytes"),
        ("`comment`", COMMENT_BYTES_MAX as i64, "bytes"),
        ("`body`", BODY_BYTES_MAX as i64, "bytes"),
        ("the text, shown", BODY_SHOWN_BYTES_MAX as i64, "bytes"),
        ("`author`", AUTHOR_BYTES_MAX as i64, "bytes"),
        ("an author, shown", AUTHOR_SHOWN_BYTES_MAX as i64, "bytes"),
        ("`title`", TITLE_BYTES_MAX as i64, "bytes"),
        ("the title, shown", TITLE_SHOWN_BYTES_MAX as i64, "bytes"),
        ("`url`", URL_BYTES_MAX as i64, "bytes"),
        ("`icon`", ICON_BYTES_MAX as i64, "bytes"),
        ("a token", TOKEN_BYTES_MAX as i64, "bytes"),
        ("a token's name", TOKEN_NAME_BYTES_MAX as i64, "bytes"),
        ("tokens in the file", TOKENS_MAX as i64, "tokens"),
        ("the tokens file", FILE_BYTES_MAX as i64, "bytes"),
        ("wrong tokens from one address", FAILURES_PER_MINUTE_MAX.into(), "in a minute"),
        ("labels, annotations of an alert", LABELS_MAX as i64, "names"),
        ("users of an alert", ALERT_USERS_MAX as i64, "users"),
        ("an alert is the same notification for", (SHOWN_AGAIN_AFTER_MS / 1000) as i64, "seconds"),
    ];
    let section = DOC.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    let written: Vec<_> = section.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    let expected: Vec<_> = known
        .iter()
        .map(|(what, value, unit)| format!("| {what} | {value} {unit}").trim_end().to_owned() + " |")
        .collect();
    assert_eq!(written, expected);
}
