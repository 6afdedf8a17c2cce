//! Golden files of the requests for event streams.
//!
//! ```text
//! # text                        a remark
//! GET query | last event id     asks for a stream (the second part may be left out)
//! POST body                     says something
//! ! answer                      what the request is taken for, or the field that is wrong
//! ```

use super::super::*;

pub(super) fn render(golden: &str) -> String {
    let mut out = String::new();
    for line in golden.lines() {
        let answer = match line.split_once(' ') {
            Some(("GET", rest)) => asked(rest),
            Some(("POST", body)) => said(body),
            Some(("#", _)) => String::new(),
            _ => continue,
        };
        out.push_str(&format!("{line}\n{answer}"));
    }
    out
}

fn asked(rest: &str) -> String {
    let (query, last) = rest.split_once(" | ").map_or((rest, None), |(query, last)| (query, Some(last)));
    match events::asked(query, last) {
        Ok(events::Asked { identity, cursor }) => {
            let cursor = cursor.map_or_else(String::new, |cursor| format!(" cursor {cursor}"));
            format!("! announce user {} browser {}{cursor}\n", identity.user, identity.browser)
        }
        Err(wrong) => format!("! 400 {} {}\n", wrong.field, wrong.message),
    }
}

fn said(body: &str) -> String {
    match events::said(body) {
        Ok(said) => {
            let session = format!("{}-{}", said.session.node, said.session.number);
            format!("! session {session} token {} say {}\n", said.token, said.say)
        }
        Err(wrong) => format!("! 400 {} {}\n", wrong.field, wrong.message),
    }
}
