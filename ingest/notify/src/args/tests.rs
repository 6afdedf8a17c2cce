use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn parse_with(args: &[&str], env: &HashMap<String, String>) -> Result<Parsed, UsageError> {
    parse(args.iter().map(OsString::from), &|name| env.get(name).map(OsString::from))
}

fn delivery(args: &[&str], env: &[(&str, &str)]) -> Delivery {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let args = [&["--hostuuid", "h", "--user-id", "1"], args].concat();
    match parse_with(&args, &env).unwrap().command {
        Command::Send(_, delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

fn meaning(result: Result<Parsed, UsageError>) -> String {
    match result.map(|parsed| parsed.command) {
        Ok(Command::Help) => "help".into(),
        Ok(Command::Version) => "version".into(),
        Ok(Command::Nobody) => "nobody".into(),
        Ok(Command::Flush(..)) => "flush".into(),
        Ok(Command::Send(request, _)) => {
            let mut json: serde_json::Map<String, Value> = serde_json::from_slice(&request.to_json()).unwrap();
            assert_eq!(json.remove("id").unwrap().as_str().unwrap().len(), 32);
            assert!(json.remove("timestamp").unwrap().as_u64().unwrap() > 1_700_000_000);
            Value::Object(json).to_string()
        }
        Err(error) => format!("usage: {error}"),
    }
}

/// Sorts the fields of an object; leaves other texts alone.
fn canonical(wanted: &str) -> String {
    if wanted.starts_with('{') { serde_json::from_str::<Value>(wanted).unwrap().to_string() } else { wanted.to_owned() }
}

#[test]
fn every_spelling_means_what_the_golden_file_says() {
    let lines = include_str!("../../testdata/spellings.txt").lines();
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases = 0;
    while let Some(line) = lines.next() {
        let mut values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
        let first = values.next().unwrap().unwrap();
        let (env, args) =
            if first.is_object() { (first, values.next().unwrap().unwrap()) } else { (Value::Null, first) };
        let env: HashMap<String, String> =
            if env.is_null() { HashMap::new() } else { serde_json::from_value(env).unwrap() };
        let args: Vec<String> = serde_json::from_value(args).unwrap();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let wanted = lines.next().unwrap().strip_prefix("=> ").unwrap();
        assert_eq!(meaning(parse_with(&args, &env)), canonical(wanted), "{line}");
        cases += 1;
    }
    assert!(cases > 50, "only {cases} cases were read");
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let latin1 = OsString::from(OsStr::from_bytes(b"Z\xfcrich \xe2\x82"));
    let args = ["--hostuuid", "h", "--user-id", "1", "--output"].map(OsString::from);
    let parsed = parse(args.into_iter().chain([latin1]), &|_| None).unwrap();
    let Command::Send(request, _) = parsed.command else { panic!() };
    assert_eq!(request.output, "Z\u{fffd}rich \u{fffd}");
    let inline = OsString::from(OsStr::from_bytes(b"--output=Z\xfc"));
    let args = ["--hostuuid", "h", "--user-id", "1"].map(OsString::from);
    let parsed = parse(args.into_iter().chain([inline]), &|_| None).unwrap();
    let Command::Send(request, _) = parsed.command else { panic!() };
    assert_eq!(request.output, "Z\u{fffd}");
}

#[test]
fn paths_keep_their_bytes() {
    let path = OsString::from(OsStr::from_bytes(b"/spool/\xfc"));
    let parsed = parse(["flush".into(), "--spool".into(), path.clone()].into_iter(), &|_| None).unwrap();
    let Command::Flush(spool, _) = parsed.command else { panic!() };
    assert_eq!(spool.as_os_str(), path);
}

#[test]
fn long_texts_are_cut() {
    let long = "x".repeat(100 * 1024);
    let args = ["--hostuuid", "h", "--user-id", "1", "--output", &long, "--ackcomment", &long, "--host-name", &long];
    let Command::Send(request, _) = parse_with(&args, &HashMap::new()).unwrap().command else { panic!() };
    assert!(request.to_json().len() < 16 * 1024);
}

#[test]
fn stray_words_are_named_and_do_not_stop_it() {
    let args = ["one", "--hostuuid", "h", "two", "--user-id", "1", "-", "--", "--three"];
    let parsed = parse_with(&args, &HashMap::new()).unwrap();
    assert_eq!(parsed.remarks, ["one", "two", "-", "--three"].map(ignored));
    assert!(matches!(parsed.command, Command::Send(..)));
}

#[test]
fn behind_a_stray_word_unknown_options_are_words() {
    let args =
        ["--hostuuid", "h", "--output", "DISK", "CRITICAL", "-free", "-h", "--help=x", "--version", "--user-id", "1"];
    let parsed = parse_with(&args, &HashMap::new()).unwrap();
    assert_eq!(parsed.remarks, ["CRITICAL", "-free", "-h", "--help=x", "--version"].map(ignored));
    let Command::Send(request, _) = parsed.command else { panic!() };
    assert_eq!((request.output.as_str(), request.user.as_str()), ("DISK", "1"));
}

#[test]
fn a_state_that_is_no_number_is_remarked() {
    let remarks = |state: &str| {
        let args = ["--hostuuid", "h", "--user-id", "1", "--state", state];
        parse_with(&args, &HashMap::new()).unwrap().remarks
    };
    assert_eq!(remarks("abc"), [r#"--state must be a whole number, not "abc"; taken as 0"#]);
    for fine in ["", " ", "2", " -1 ", "+1"] {
        assert!(remarks(fine).is_empty(), "{fine:?}");
    }
}

#[test]
fn addresses_come_from_the_first_source_that_names_one() {
    let urls = |args: &[&str], env: &[(&str, &str)]| -> Vec<String> {
        delivery(args, env).addresses.iter().map(ToString::to_string).collect()
    };
    let both = [("BELLWIRE_INGEST", "b:2"), ("OITC_ADDRESS", "c")];
    assert_eq!(urls(&["--ingest", "a:1, http://x:2"], &both), ["http://a:1", "http://x:2"]);
    assert_eq!(urls(&["--ingest", ""], &both), ["http://b:2"]);
    assert_eq!(urls(&["--ingest", " , "], &both), ["http://b:2"]);
    assert_eq!(urls(&[], &both), ["http://b:2"]);
    assert_eq!(urls(&[], &both[1..]), ["http://c:8083"]);
    assert_eq!(urls(&[], &[("BELLWIRE_INGEST", "")]), ["http://127.0.0.1:8083"]);
}

#[test]
fn times_have_units() {
    let deadline = |text: &str| delivery(&["--deadline", text], &[]).deadline;
    assert_eq!(delivery(&[], &[]).deadline, Duration::from_secs(10));
    assert_eq!(deadline(""), Duration::from_secs(10));
    assert_eq!(deadline("3"), Duration::from_secs(3));
    assert_eq!(deadline("2.5s"), Duration::from_millis(2500));
    assert_eq!(deadline("500ms"), Duration::from_millis(500));
    assert_eq!(deadline("1m"), Duration::from_secs(60));
    assert_eq!(delivery(&[], &[("BELLWIRE_DEADLINE", "4")]).deadline, Duration::from_secs(4));
    for bad in ["1h", "s", "1e99", "inf", "3601", "1 2"] {
        let args = ["--hostuuid", "h", "--user-id", "1", "--deadline", bad];
        assert!(matches!(parse_with(&args, &HashMap::new()), Err(UsageError::Time(..))), "{bad}");
    }
}

fn checkmk(vars: &[(&str, &str)]) -> (Request, Delivery) {
    let base = [("NOTIFY_HOSTNAME", "h"), ("NOTIFY_CONTACTNAME", "ann"), ("NOTIFY_NOTIFICATIONTYPE", "PROBLEM")];
    let env = base.iter().chain(vars).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    match parse_with(&["--from-env"], &env).unwrap().command {
        Command::Send(request, delivery) => (*request, delivery),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_checkmk_tries_again_keeps_its_id_and_its_time() {
    let (first, delivery) = checkmk(&[("NOTIFY_MICROTIME", "1752739200123456")]);
    assert!(delivery.for_checkmk);
    assert_eq!(first.timestamp, 1_752_739_200);
    let again = checkmk(&[("NOTIFY_MICROTIME", "1752739200123456"), ("NOTIFY_HOSTOUTPUT", "x")]).0;
    assert_eq!(first.id, again.id);
    for (name, value) in [
        ("NOTIFY_MICROTIME", "1752739200123457"),
        ("NOTIFY_CONTACTNAME", "bob"),
        ("NOTIFY_NOTIFICATIONTYPE", "RECOVERY"),
        ("NOTIFY_HOSTNAME", "h2"),
        ("NOTIFY_HOSTSTATEID", "1"),
    ] {
        let other = checkmk(&[("NOTIFY_MICROTIME", "1752739200123456"), (name, value)]).0;
        assert_ne!(other.id, first.id, "{name}");
    }
}

#[test]
fn a_time_that_checkmk_does_not_tell_or_that_is_to_come_is_now() {
    let now = seconds(SystemTime::now());
    let (untold, to_come) = (checkmk(&[]).0, checkmk(&[("NOTIFY_MICROTIME", "9999999999000000")]).0);
    assert!(untold.timestamp >= now && untold.timestamp < now + 60);
    assert!(to_come.timestamp >= now && to_come.timestamp < now + 60);
    assert_ne!(untold.id, checkmk(&[]).0.id);
}

#[test]
fn macros_in_the_environment_need_not_be_utf8() {
    let env = |name: &str| match name {
        "NAGIOS_HOSTNAME" | "NAGIOS_CONTACTNAME" => Some(OsString::from("x")),
        "NAGIOS_HOSTOUTPUT" => Some(OsStr::from_bytes(b"Z\xfcrich").to_owned()),
        _ => None,
    };
    let Command::Send(request, delivery) = parse([OsString::from("--from-env")].into_iter(), &env).unwrap().command
    else {
        panic!()
    };
    assert_eq!(request.output, "Z\u{fffd}rich");
    assert!(!delivery.for_checkmk);
}

/// An argument that is as likely an option as anything else.
fn any_argument() -> impl Strategy<Value = OsString> {
    let option = (0..OPTIONS.len(), "-{0,3}", "=?", any::<bool>()).prop_map(|(place, dashes, equals, upper)| {
        let name = OPTIONS[place].name;
        let name = if upper { name.to_uppercase() } else { name.to_owned() };
        OsString::from(format!("{dashes}{name}{equals}"))
    });
    let bytes = prop::collection::vec(1..=255_u8, 0..12).prop_map(|bytes| OsStr::from_bytes(&bytes).to_owned());
    prop_oneof![option, bytes, "[-=0-9$,:./ ]{0,8}".prop_map(OsString::from)]
}

proptest! {
    #[test]
    fn no_arguments_make_it_fail_otherwise_than_by_an_error(args in prop::collection::vec(any_argument(), 0..24)) {
        if let Ok(Parsed { command: Command::Send(request, delivery), .. }) = parse(args.into_iter(), &|_| None) {
            prop_assert!(!request.user.is_empty() && request.user.len() <= USER_BYTES_MAX);
            prop_assert!(!delivery.addresses.is_empty() && !delivery.deadline.is_zero());
            prop_assert_eq!(serde_json::from_slice::<Request>(&request.to_json()).unwrap(), *request);
        }
    }

    #[test]
    fn no_environment_makes_it_fail_otherwise_than_by_an_error(
        prefix in prop::sample::select(vec!["NOTIFY_", "ICINGA_", "NAGIOS_"]),
        values in prop::collection::vec(prop::collection::vec(1..=255_u8, 0..40), 1..12),
    ) {
        // Each variable has one of the values, whatever its name is.
        let env = |name: &str| {
            let place = name.strip_prefix(prefix)?.bytes().map(usize::from).sum::<usize>() % values.len();
            Some(OsStr::from_bytes(&values[place]).to_owned())
        };
        let parsed = parse([OsString::from("--from-env")].into_iter(), &env);
        if let Ok(Parsed { command: Command::Send(request, _), .. }) = parsed {
            prop_assert!(!request.user.is_empty() && request.user.len() <= USER_BYTES_MAX);
            prop_assert!(request.host.is_some());
            prop_assert_eq!(serde_json::from_slice::<Request>(&request.to_json()).unwrap(), *request);
        }
    }

    #[test]
    fn a_value_means_the_same_after_a_space_and_after_an_equals_sign(bytes in prop::collection::vec(1..=255_u8, 0..64)) {
        let value = OsStr::from_bytes(&bytes);
        let inline = |option: &str| {
            let mut whole = OsString::from(format!("{option}="));
            whole.push(value);
            whole
        };
        for output in [vec!["--output".into(), value.to_owned()], vec![inline("--output")], vec![inline("-OUTPUT")]] {
            let args = ["--hostuuid", "h", "--user-id", "1"].map(OsString::from).into_iter().chain(output);
            let Command::Send(request, _) = parse(args, &|_| None).unwrap().command else { panic!() };
            prop_assert_eq!(request.output, value.to_string_lossy());
        }
    }
}
