use super::*;

fn flags(line: &str) -> ArgMatches {
    command("trace").try_get_matches_from(line.split_whitespace()).unwrap()
}

fn asked(line: &str, env: &[(&str, &str)]) -> Result<Question, String> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    question(&flags(line), &env)
}

#[test]
fn a_word_is_a_user_or_an_id() {
    let queries = |line| asked(line, &[]).unwrap().queries;
    let pair = |name, value: &str| (name, value.to_owned());
    assert_eq!(queries("trace 7"), [vec![pair("user", "7")], vec![pair("id", "7")]]);
    assert_eq!(queries("trace --user 7"), [vec![pair("user", "7")]]);
    assert_eq!(queries("trace --id 7"), [vec![pair("id", "7")]]);
    assert_eq!(queries("trace --id x --user 7"), [vec![pair("user", "7"), pair("id", "x")]]);
}

#[test]
fn what_cannot_be_an_id_is_refused() {
    let long = "x".repeat(65);
    for line in [format!("trace {long}"), format!("trace --user {long}"), format!("trace --id {long}")] {
        let error = asked(&line, &[]).unwrap_err();
        assert!(error.contains("at most 64 bytes"), "{error}");
    }
    assert!(asked("trace ä", &[]).unwrap_err().contains("ASCII"));
}

#[test]
fn that_the_node_does_not_follow_the_log_comes_first() {
    let question = asked("trace 7", &[]).unwrap();
    let said = |not_sending| {
        let (node, notifications) = ("a".to_owned(), vec![]);
        nothing(
            &question,
            &Answer { node, at: 5, since: 0, not_sending, user: None, user_also: None, notifications, left_out: 0 },
        )
    };
    assert!(said(vec![]).starts_with("nothing is known of \"7\", be it a user or an id: the node at 127.0.0.1:9083"));
    let behind = said(vec!["bellwire.v1.4.2".to_owned()]);
    assert!(behind.starts_with("THE NODE DOES NOT FOLLOW THE LOG AT PRESENT"), "{behind}");
    assert!(behind.contains("nothing is known of") && behind.contains("since 1970-01-01T00:00:00.000Z"), "{behind}");
}
