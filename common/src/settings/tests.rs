//! Whole ways from the sources to the typed settings.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use clap::Command;

use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Sources of a test: what stands in the environment and in files, `NAME=VALUE` and `PATH=TEXT`.
struct Given<'a> {
    args: &'a str,
    env: &'a [(&'a str, &'a str)],
    files: &'a [(&'a str, &'a str)],
}

impl Given<'_> {
    fn load<T>(&self, role: Role, load: fn(&Sources<'_>) -> Result<Loaded<T>, Invalid>) -> Result<Loaded<T>, Invalid> {
        let args = std::iter::once("bellwire").chain(self.args.split_whitespace());
        let flags = add_flags(Command::new("bellwire"), role).try_get_matches_from(args).unwrap();
        let env: BTreeMap<String, String> = self.env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let read = |path: &Path| {
            let found = self.files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or(io::Error::from(io::ErrorKind::NotFound))
        };
        load(&Sources { flags: &flags, env: &env, read: &read })
    }

    fn standalone(&self) -> Result<Loaded<Standalone>, Invalid> {
        self.load(Role::Standalone, standalone)
    }

    fn gateway(&self) -> Result<Loaded<Gateway>, Invalid> {
        self.load(Role::Gateway, gateway)
    }

    fn ingest(&self) -> Result<Loaded<Ingest>, Invalid> {
        self.load(Role::Ingest, ingest)
    }
}

const HOME: &[(&str, &str)] = &[("HOME", "/h/u")];

fn args(args: &str) -> Given<'_> {
    Given { args, env: HOME, files: &[] }
}

#[track_caller]
fn refused<T: fmt::Debug>(loaded: Result<Loaded<T>, Invalid>, expected: &[&str]) {
    let error = loaded.unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn standalone_needs_nothing() {
    let settings = args("").standalone().unwrap().settings;
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8083");
    assert_eq!(settings.node.admin_listen.to_string(), "127.0.0.1:9083");
    assert_eq!(settings.node.log, LogAddress::Embedded("/h/u/.local/state/bellwire".into()));
    assert_eq!(settings.state_directory, Some("/h/u/.local/state/bellwire".into()));
    assert_eq!((settings.node.shards, settings.node.ttl), (4, Duration::from_secs(600)));
    assert_eq!((settings.shared_key, settings.intake.tokens_file, settings.ingest_listen), (None, None, None));
}

#[test]
fn bounds_on_tabs_are_read_and_checked() {
    let tabs = args("").standalone().unwrap().settings.tabs;
    assert_eq!((tabs.sessions, tabs.sessions_per_user, tabs.sessions_per_address), (100_000, 100, 5_000));
    assert_eq!(tabs.trusted_proxies, ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()));
    let given = "--log amqp://h --max-sessions 7 --max-handshakes-per-second 900 --trusted-proxies 10.0.0.0/8,fd00::1";
    let tabs = args(given).gateway().unwrap().settings.tabs;
    assert_eq!((tabs.sessions, tabs.handshakes_per_second), (7, 900));
    assert_eq!(tabs.trusted_proxies, ["10.0.0.0/8", "fd00::1/128"].map(|net| net.parse().unwrap()));
    assert!(args("--trusted-proxies none").standalone().unwrap().settings.tabs.trusted_proxies.is_empty());
    let many = vec!["10.0.0.1"; NETWORKS_MAX + 1].join(",");
    refused(args(&format!("--trusted-proxies {many}")).standalone(), &["at most 64"]);
    refused(args("--max-sessions 0").standalone(), &["max-sessions", "from 1 to 1000000, not `0`"]);
    refused(args("--max-handshakes-per-second 9").standalone(), &["from 500 to 1000000, not `9`"]);
    refused(args("--trusted-proxies 10.0.0.1/8").standalone(), &["trusted-proxies", "network 10.0.0.0/8"]);
    refused(args("--trusted-proxies proxy.example").standalone(), &["trusted-proxies", "not `proxy.example`"]);
}

#[test]
fn digests_are_for_those_that_are_named() {
    let of = |given: &str| args(given).standalone().unwrap().settings.tabs.digests;
    assert_eq!(of(""), Digests { native: true, v1: false, v2: false });
    assert_eq!(of("--digests v1,v2"), Digests { native: false, v1: true, v2: true });
    assert_eq!(of("--digests none"), Digests::default());
    refused(args("--digests v3").standalone(), &["digests", "native, v1 and v2", "not `v3`"]);
}

#[test]
fn the_other_roles_have_their_own_ports() {
    let gateway = args("--log amqp://h").gateway().unwrap();
    assert_eq!(gateway.settings.listen.port(), 8083);
    assert_eq!(gateway.settings.node.admin_listen.port(), 9083);
    assert!(gateway.warnings[0].contains("no shared key"), "{:?}", gateway.warnings);
    let ingest = args("--log amqp://h").ingest().unwrap();
    assert_eq!((ingest.settings.listen.port(), ingest.settings.node.admin_listen.port()), (8084, 9084));
    assert!(ingest.warnings.is_empty());
}

#[test]
fn a_gateway_may_read_the_logs_of_a_second_number_of_shards() {
    let gateway = |more: &str| args(&format!("--log amqp://h {more}")).gateway();
    assert_eq!(gateway("").unwrap().settings.shards_also, None);
    let settings = gateway("--shards 4 --shards-also 8").unwrap().settings;
    assert_eq!((settings.node.shards, settings.shards_also), (4, Some(8)));
    refused(gateway("--shards-also 4"), &["shards-also", "the same as shards"]);
    refused(gateway("--shards-also 65"), &["shards-also", "from 1 to 64, not `65`"]);
    let env = [("HOME", "/h"), ("BELLWIRE_CONFIG", "/c")];
    let given = Given { args: "", env: &env, files: &[("/c", "log = 'amqp://h'\nshards-also = 8")] };
    assert_eq!(given.gateway().unwrap().settings.shards_also, Some(8));
    assert!(given.ingest().is_ok(), "one file for both");
}

#[test]
fn the_nearer_source_wins() {
    let file = [("/c.toml", "shards = 2\nttl = '2m'\ndrain-seconds = 2\nlog-format = 'json'")];
    let env = [("HOME", "/h"), ("BELLWIRE_CONFIG", "/c.toml"), ("BELLWIRE_SHARDS", "3"), ("BELLWIRE_TTL", "3m")];
    let loaded = Given { args: "--shards 5", env: &env, files: &file }.standalone().unwrap();
    let node = &loaded.settings.node;
    assert_eq!((node.shards, node.ttl.as_secs(), node.drain.as_secs()), (5, 180, 2));
    let shown = loaded.effective.to_string();
    for (left, source) in [
        ("shards = \"5\"", "flag --shards"),
        ("ttl = \"3m\"", "environment BELLWIRE_TTL"),
        ("drain-seconds = \"2\"", "file /c.toml"),
        ("log-level = \"info\"", "default"),
        ("log = \"embedded:/h/.local/state/bellwire\"", "default, from $HOME"),
    ] {
        let line = shown.lines().find(|line| line.starts_with(left)).unwrap_or_else(|| panic!("{left}: {shown}"));
        assert!(line.ends_with(&format!("# {source}")), "{line}");
    }
}

#[test]
fn what_is_shown_can_be_read_again() {
    let env = [("HOME", "/h"), ("BELLWIRE_SHARED_KEY", KEY)];
    let shown = Given { args: "--ttl 5m --listen [::1]:1 --session-check key-only", env: &env, files: &[] }
        .standalone()
        .unwrap();
    let file = [("/again", shown.effective.to_string())];
    let files = [(file[0].0, file[0].1.as_str())];
    let again = Given { args: "--config /again", env: &env, files: &files }.standalone().unwrap();
    assert_eq!(again.settings, shown.settings);
}

#[test]
fn the_data_directory_has_its_order() {
    let directory =
        |env: &[(&str, &str)]| Given { args: "", env, files: &[] }.standalone().map(|l| l.settings.node.log);
    let all = [("STATE_DIRECTORY", "/var/lib/b:/x"), ("XDG_STATE_HOME", "/xdg"), ("HOME", "/h")];
    assert_eq!(directory(&all).unwrap(), LogAddress::Embedded("/var/lib/b".into()));
    assert_eq!(directory(&all[1..]).unwrap(), LogAddress::Embedded("/xdg/bellwire".into()));
    let relative = [("XDG_STATE_HOME", "relative"), ("HOME", "/h")];
    assert_eq!(directory(&relative).unwrap(), LogAddress::Embedded("/h/.local/state/bellwire".into()));
    let error = directory(&[("HOME", "")]).unwrap_err().to_string();
    assert!(error.contains("log=embedded:DIR"), "{error}");
    let memory = args("--log memory:").standalone().unwrap().settings;
    assert_eq!((memory.node.log, memory.state_directory), (LogAddress::Memory, None));
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let files = [("/c", "shard = 3\nshared_key = 'x'")];
    let env = [("HOME", "/h"), ("BELLWIRE_ADMINLISTEN", "x"), ("BELLWIRE_QQQQQQQQQQQQQQQQQ", "x")];
    refused(
        Given { args: "--config /c", env: &env, files: &files }.standalone(),
        &[
            "shard (file /c): no such setting; did you mean shards?",
            "shared_key (file /c): no such setting; did you mean shared-key?",
            "BELLWIRE_ADMINLISTEN (environment): no such setting; did you mean BELLWIRE_ADMIN_LISTEN?",
            "BELLWIRE_QQQQQQQQQQQQQQQQQ (environment): no such setting; `bellwire config` lists them",
        ],
    );
}

#[test]
fn names_of_others_are_left_alone() {
    let env = [
        ("HOME", "/h"),
        ("BELLWIRE_INGEST", "http://x"),
        ("BELLWIRE_TOKEN_FILE", "/t"),
        ("BELLWIRE_SPOOL", "/s"),
        ("BELLWIRE_DEADLINE", "3"),
        ("BELLWIRE_CA_FILE", "/c"),
        ("BELLWIRE_HOST_NAME", "h"),
        ("BELLWIRE_SERVICE_NAME", "s"),
        ("BELLWIRE_INGEST_TOKENS_FILE", ""),
        ("BELLWIRE_SERVICE_HOST", "10.0.0.1"),
        ("BELLWIRE_SERVICE_PORT", "80"),
        ("BELLWIRE_SERVICE_PORT_HTTP", "80"),
        ("BELLWIRE_PORT", "tcp://10.0.0.1:80"),
        ("BELLWIRE_GATEWAY_SERVICE_HOST", "10.0.0.2"),
        ("BELLWIRE_GATEWAY_SERVICE_PORT", "80"),
        ("BELLWIRE_GATEWAY_PORT_8083_TCP_ADDR", "10.0.0.2"),
    ];
    Given { args: "", env: &env, files: &[] }.standalone().unwrap();
    refused(
        Given { args: "", env: &[("HOME", "/h"), ("BELLWIRE_PORT", "80")], files: &[] }.standalone(),
        &["BELLWIRE_PORT"],
    );
}

#[test]
fn one_file_serves_several_roles() {
    let files = [("/c", "log = 'amqp://h'\nshared-key-file = '/gone'\ningest-listen = 'nonsense'")];
    Given { args: "--config /c", env: HOME, files: &files }.ingest().unwrap();
    refused(
        Given { args: "--config /c", env: HOME, files: &files }.gateway(),
        &["shared-key-file (file /c): cannot read /gone"],
    );
}

#[test]
fn all_mistakes_are_told_at_once_with_source_and_limit() {
    let env = [("HOME", "/h"), ("BELLWIRE_SHARDS", "900")];
    let given = Given {
        args: "--ttl 1h --listen 8083 --drain-seconds x --log-level loud --log-format xml",
        env: &env,
        files: &[],
    };
    refused(
        given.standalone(),
        &[
            "shards (environment BELLWIRE_SHARDS): must be a whole number from 1 to 64, not `900`",
            "ttl (flag --ttl): must be from 1 s to 30 min, not `1h`",
            "listen (flag --listen): must be IP:PORT",
            "drain-seconds (flag --drain-seconds): must be a whole number of seconds from 0 to 3600",
            "log-level (flag --log-level): must be error",
            "log-format (flag --log-format): must be text or json",
        ],
    );
}

#[test]
fn a_file_must_be_readable_toml_of_texts_and_numbers() {
    let load = |text: &str| Given { args: "--config /c", env: HOME, files: &[("/c", text)] }.standalone();
    refused(load("ttl = '1m'\nshared-key = \"s3cret"), &["config (flag --config): /c, line 2, is not TOML"]);
    assert!(!load("shared-key = \"s3cret\n").unwrap_err().to_string().contains("s3cret"));
    refused(load("shards = [1]"), &["shards (file /c): must be a text or a whole number, but is a TOML array"]);
    refused(args("--config /gone").standalone(), &["config (flag --config): cannot read /gone"]);
}

#[test]
fn a_secret_in_the_command_line_is_refused() {
    for line in [&*format!("--shared-key {KEY}"), &*format!("--shared-key={KEY}"), "--shared-key"] {
        let error = args(line).standalone().unwrap_err().to_string();
        assert!(error.contains("ps; use --shared-key-file FILE or BELLWIRE_SHARED_KEY"), "{error}");
        assert!(!error.contains(KEY));
    }
}

#[test]
fn secrets_are_not_shown() {
    let env = [("HOME", "/h"), ("BELLWIRE_SHARED_KEY", KEY), ("BELLWIRE_LOG", "amqp://u:s3cret@h,i")];
    let loaded = Given { args: "--session-check key-only", env: &env, files: &[] }.standalone().unwrap();
    let shown = format!("{} {:?} {:?}", loaded.effective, loaded, loaded.settings);
    assert!(!shown.contains(KEY) && !shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("# shared-key = (set)") && shown.contains("amqp://u@h:5672/%2F,amqp://u@i:5672"), "{shown}");
}

#[test]
fn the_shared_key_comes_from_one_place() {
    let files = [("/k", KEY), ("/nl", "0123456789abcdefX\n"), ("/empty", "\n"), ("/c", "shared-key = 'short'")];
    let load = |args: &str, env: &[(&str, &str)]| {
        let args = &format!("--session-check key-only {args}");
        Given { args, env: &[HOME, env].concat(), files: &files }.standalone()
    };
    let key = |loaded: Result<Loaded<Standalone>, Invalid>| loaded.unwrap().settings.shared_key.unwrap();
    assert_eq!(key(load("--shared-key-file /nl", &[])).expose(), "0123456789abcdefX");
    assert_eq!(key(load("--shared-key-file /nl", &[("BELLWIRE_SHARED_KEY", KEY)])).expose(), "0123456789abcdefX");
    assert_eq!(key(load("--config /c", &[("BELLWIRE_SHARED_KEY_FILE", "/k")])).expose(), KEY);
    refused(
        load("", &[("BELLWIRE_SHARED_KEY_FILE", "/k"), ("BELLWIRE_SHARED_KEY", KEY)]),
        &["shared-key (environment BELLWIRE_SHARED_KEY): is given beside shared-key-file"],
    );
    refused(
        load("--shared-key-file /empty", &[]),
        &["shared-key-file (flag --shared-key-file): what /empty holds must not be empty"],
    );
    assert!(load("--config /c", &[]).unwrap().warnings[0].contains("can be guessed"));
}

#[test]
fn off_loopback_keys_and_tokens_are_required() {
    let files = [("/k", KEY), ("/t", "token-one\ntoken-two\n")];
    let load = |args| Given { args, env: HOME, files: &files };
    refused(
        load("--listen 0.0.0.0:1").standalone(),
        &["listen (flag --listen)", "shared-key-file", "BELLWIRE_SHARED_KEY"],
    );
    refused(
        load("--listen 0.0.0.0:1 --shared-key-file /k --session-check key-only").standalone(),
        &["listen (flag --listen)", "ingest-tokens-file", "ingest-listen=127.0.0.1:8084"],
    );
    load("--listen 0.0.0.0:1 --shared-key-file /k --session-check key-only --ingest-listen 127.0.0.1:2")
        .standalone()
        .unwrap();
    let open = load("--listen 0.0.0.0:1 --shared-key-file /k --session-check key-only --ingest-tokens-file /t")
        .standalone()
        .unwrap();
    assert_eq!(open.settings.intake.tokens_file, Some("/t".into()));
    refused(
        load("--ingest-listen 0.0.0.0:2").standalone(),
        &["ingest-listen (flag --ingest-listen)", "ingest-tokens-file"],
    );
    refused(load("--log amqp://h --listen [::]:1").gateway(), &["listen (flag --listen)", "shared key"]);
    refused(load("--log amqp://h --listen 10.0.0.1:1").ingest(), &["listen (flag --listen)", "ingest-tokens-file"]);
    load("--log amqp://h --listen 10.0.0.1:1 --tls-cert-file /c --tls-key-file /k --ingest-client-ca-file /a")
        .ingest()
        .unwrap();
    load("--log amqp://h --listen [::1]:1").ingest().unwrap();
    load("--log amqp://h --listen [::ffff:127.0.0.1]:1").ingest().unwrap();
}

#[test]
fn a_log_of_one_process_is_for_standalone() {
    for log in ["memory:", "embedded:/d"] {
        refused(args(&format!("--log {log}")).gateway(), &["log (flag --log)", log, "bellwire standalone"]);
        refused(args(&format!("--log {log}")).ingest(), &["log (flag --log)", "amqp://"]);
        args(&format!("--log {log}")).standalone().unwrap();
    }
    refused(args("").gateway(), &["log (default): must be given: gateway works with RabbitMQ", "bellwire standalone"]);
}

#[test]
fn listeners_do_not_collide() {
    refused(
        args("--admin-listen 127.0.0.1:8083").standalone(),
        &["admin-listen (flag --admin-listen): 127.0.0.1:8083 is taken by listen"],
    );
    refused(args("--ingest-listen 127.0.0.1:9083").standalone(), &["ingest-listen", "taken by admin-listen"]);
    refused(args("--admin-listen 0.0.0.0:8083").standalone(), &["admin-listen"]);
    args("--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0").standalone().unwrap();
}

#[test]
fn files_complete_the_address_of_rabbitmq() {
    let files = [("/u", "bell\n"), ("/p", "p@ss\n"), ("/ca", "-----BEGIN CERTIFICATE-----")];
    let given = Given {
        args: "--log amqps://a,b --amqp-user-file /u --amqp-password-file /p --amqp-ca-file /ca",
        env: HOME,
        files: &files,
    };
    let LogAddress::Amqp(amqp) = given.gateway().unwrap().settings.node.log else { panic!("not RabbitMQ") };
    let urls: Vec<_> = amqp.nodes.iter().map(|node| node.url().expose().to_owned()).collect();
    assert_eq!(urls, ["amqps://bell:p%40ss@a:5671/%2F", "amqps://bell:p%40ss@b:5671/%2F"]);
    assert_eq!(amqp.ca.as_deref(), Some("-----BEGIN CERTIFICATE-----"));
    refused(
        args("--log amqp://a --amqp-ca-file /ca").gateway(),
        &["amqp-ca-file (flag --amqp-ca-file): no node in log is amqps"],
    );
    let warned = args("--log amqp://u:p@a").gateway().unwrap().warnings;
    assert!(warned.iter().any(|w| w.contains("--log can be read in ps")), "{warned:?}");
}

#[test]
fn a_role_has_no_flags_of_others() {
    let parse = |role, flag| add_flags(Command::new("bellwire"), role).try_get_matches_from(["bellwire", flag, "x"]);
    assert!(parse(Role::Gateway, "--ingest-listen").is_err());
    assert!(parse(Role::Ingest, "--shared-key-file").is_err());
    assert!(parse(Role::Standalone, "--ingest-listen").is_ok());
}

#[test]
fn a_shared_key_alone_is_a_mode_that_must_be_named() {
    let files = [("/k", KEY), ("/ca", "-----BEGIN CERTIFICATE-----"), ("/default", "UNSAVE_DEFAULT_CHANGE_ASAP")];
    let load = |args| Given { args, env: HOME, files: &files }.standalone();
    refused(load("--shared-key-file /k"), &["session-check (default)", "openitcockpit-url", "session-check=key-only"]);
    refused(load("--mysql-file /m"), &["session-check=key-only"]);
    refused(
        load("--session-check required"),
        &["session-check (flag --session-check): required needs openitcockpit-url"],
    );
    refused(load("--openitcockpit-ca-file /ca"), &["is of no use without openitcockpit-url"]);
    refused(load("--shared-key-file /default --openitcockpit-url https://m"), &["factory setting"]);
    load("--shared-key-file /default --shared-key-default allow --openitcockpit-url https://m").unwrap();
    let access = load("--shared-key-file /k --openitcockpit-url https://M:443/").unwrap().settings.access;
    assert_eq!((access.session_check, access.origins), (SessionCheck::Required, Some(vec!["https://m".to_owned()])));
    assert_eq!(load("").unwrap().settings.access.session_check, SessionCheck::KeyOnly, "the key of a trial");
}

#[test]
fn what_belongs_together_is_given_together() {
    let load = |args| Given { args, env: HOME, files: &[("/ca", "-----BEGIN CERTIFICATE-----")] }.standalone();
    for (args, parts) in [
        ("--jwt-keys-file /j", &["jwt-keys-file", "needs jwt-audience"][..]),
        ("--jwt-audience a", &["jwt-audience", "of no use without"]),
        ("--jwt-keys-file /j --jwt-keys-url https://k --jwt-audience a", &["jwt-keys-url", "only one of the two"]),
        ("--tls-cert-file /c", &["tls-cert-file", "needs tls-key-file"]),
        ("--tls-key-file /c", &["tls-key-file", "needs tls-cert-file"]),
        ("--admin-tls on", &["admin-tls", "needs tls-cert-file"]),
        ("--ingest-client-ca-file /ca", &["ingest-client-ca-file", "needs tls-cert-file"]),
        ("--user-check push", &["user-check", "needs mysql-file"]),
        ("--mobile-relay on", &["mobile-relay", "needs mysql-file"]),
        ("--relay-ca-file /ca", &["relay-ca-file", "of no use without mobile-relay"]),
    ] {
        refused(load(args), parts);
    }
    let settings = load("--mysql-file /m --session-check key-only --mobile-relay on").unwrap().settings;
    assert_eq!((settings.intake.user_check, settings.relay), (UserCheck::Exists, Some(Relay { ca: None })));
}
