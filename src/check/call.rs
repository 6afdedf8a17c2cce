//! From the call, the environment and a node's own settings to what is to be checked.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Command};

use bellwire_common::fetch::Identity;
use bellwire_common::settings::{self, Given, Role, Secret, Sources, defaults};

use bellwire_notify::credentials;

use super::range::Range;
use super::verdict::Limits;
use crate::admin::{self, ADMIN};
use crate::place::{Place, reachable};
use crate::trial;

/// Longest time for a check: engines give up earlier.
const TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// What is to be checked, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) gateways: Vec<Place>,
    pub(crate) ingests: Vec<Place>,
    pub(crate) key: Key,
    pub(crate) token: Option<Secret>,
    /// Authorities in PEM form that count instead of the system's.
    pub(crate) ca: Option<String>,
    /// What ingest is shown where it asks for a certificate.
    pub(crate) identity: Option<Identity>,
    /// Whom to ask where something did not arrive.
    pub(crate) admins: Vec<SocketAddr>,
    pub(crate) limits: Limits,
    pub(crate) timeout: Duration,
    pub(crate) verbose: bool,
}

/// Where the shared key is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Here.
    Given(Secret),
    /// In openITCOCKPIT's database, by its `mysql.cnf`.
    Database(PathBuf),
}

/// What the call says, and behind it what a node is told.
struct Call<'a> {
    flags: &'a ArgMatches,
    env: &'a BTreeMap<String, String>,
    given: BTreeMap<&'static str, Given>,
}

/// Reads the call; an error is for people, and no secret is in it.
pub(crate) fn plan(flags: &ArgMatches, env: &BTreeMap<String, String>) -> Result<Plan, String> {
    let of_node = of_node(flags.get_one::<String>("config"))?;
    let read = |path: &Path| fs::read_to_string(path);
    let sources = Sources { flags: &of_node, env, read: &read };
    let given = settings::given(Role::Standalone, &sources).map_err(|invalid| invalid.to_string())?;
    let call = Call { flags, env, given };
    let range = |name: &str| {
        let text = flags.get_one::<String>(name).map_or("", String::as_str);
        Range::parse(text).map_err(|error| format!("--{name} {error}"))
    };
    Ok(Plan {
        gateways: call.places("gateway", None, &["listen"])?,
        ingests: call.places("ingest", Some("BELLWIRE_INGEST"), &["ingest-listen", "listen"])?,
        key: call.key(&sources)?,
        token: call.token()?,
        ca: call.file("ca-file", "BELLWIRE_CA_FILE")?,
        identity: call.identity()?,
        admins: call.admins()?,
        limits: Limits { warning: range("warning")?, critical: range("critical")? },
        timeout: timeout(flags)?,
        verbose: flags.get_flag("verbose"),
    })
}

/// The flags of a node, of which the call may have `--config`.
fn of_node(config: Option<&String>) -> Result<ArgMatches, String> {
    let args = config.map(|file| ["--config", file]).into_iter().flatten();
    let command = settings::add_flags(Command::new("node"), Role::Standalone).no_binary_name(true);
    command.try_get_matches_from(args).map_err(|error| error.to_string())
}

fn timeout(flags: &ArgMatches) -> Result<Duration, String> {
    let text = flags.get_one::<String>("timeout").map_or("", String::as_str);
    let seconds: Option<f64> = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let is_good = |duration: &Duration| !duration.is_zero() && *duration <= TIMEOUT_MAX;
    duration.filter(is_good).ok_or_else(|| {
        format!("--timeout must be seconds, above 0 and at most {}, not {text:?}", TIMEOUT_MAX.as_secs())
    })
}

impl Call<'_> {
    fn env(&self, name: &str) -> Option<&String> {
        self.env.get(name).filter(|text| !text.is_empty())
    }

    /// The addresses of the flag or the variable, or else where the node of this machine listens.
    fn places(&self, flag: &str, variable: Option<&str>, listens: &[&str]) -> Result<Vec<Place>, String> {
        let given: Vec<&str> = self.flags.get_many::<String>(flag).into_iter().flatten().map(String::as_str).collect();
        if !given.is_empty() {
            return Place::list(&given.join(",")).map_err(|error| format!("--{flag} {error}"));
        }
        if let Some((name, text)) = variable.and_then(|name| Some((name, self.env(name)?))) {
            return Place::list(text).map_err(|error| format!("{name} {error}"));
        }
        let listen = listens.iter().find_map(|name| Some((*name, self.given.get(name)?)));
        let Some((name, listen)) = listen else {
            return Place::list(defaults::TABS.text);
        };
        if self.given.contains_key("tls-cert-file") {
            return Err(format!(
                "the node has TLS: say its address with the certificate's name, --{flag} https://NAME:PORT"
            ));
        }
        let listen: SocketAddr = listen.text.parse().map_err(|_| format!("{name} of the node is not IP:PORT"))?;
        Place::list(&reachable(listen).to_string())
    }

    fn key(&self, sources: &Sources<'_>) -> Result<Key, String> {
        if let Some(file) = self.flags.get_one::<String>("key-file") {
            return secret("--key-file", Path::new(file)).map(Key::Given);
        }
        if let Some(key) = self.given.get("shared-key") {
            return Ok(Key::Given(Secret::new(key.text.trim())));
        }
        if let Some(file) = self.given.get("shared-key-file") {
            return secret("shared-key-file", Path::new(&file.text)).map(Key::Given);
        }
        if let Some(file) = self.given.get("mysql-file") {
            return Ok(Key::Database(PathBuf::from(&file.text)));
        }
        // What standalone has made for trying out.
        let directory = settings::standalone(sources).ok().and_then(|loaded| loaded.settings.state_directory);
        let trial = directory.map(|directory| trial::file(&directory)).filter(|file| file.exists());
        match trial {
            Some(file) => secret("the key for trying out", &file).map(Key::Given),
            None => {
                Err("no shared key: give --key-file FILE (the gateway's shared-key-file), BELLWIRE_SHARED_KEY, or \
                         --config FILE"
                    .into())
            }
        }
    }

    fn token(&self) -> Result<Option<Secret>, String> {
        let node = self.given.get("ingest-tokens-file").map(|given| &given.text);
        let flag = self.flags.get_one::<String>("token-file").or_else(|| self.env("BELLWIRE_TOKEN_FILE"));
        let Some(file) = flag.or(node) else { return Ok(None) };
        credentials::token(Path::new(file)).map(|token| Some(Secret::new(&token))).map_err(of_user)
    }

    fn identity(&self) -> Result<Option<Identity>, String> {
        let file = |flag: &str, variable: &str| {
            self.flags.get_one::<String>(flag).or_else(|| self.env(variable)).map(Path::new)
        };
        let (cert, key) = (file("client-cert", "BELLWIRE_CLIENT_CERT"), file("client-key", "BELLWIRE_CLIENT_KEY"));
        let shown = credentials::certificate(cert, key).map_err(of_user)?;
        Ok(shown.map(Identity::from))
    }

    fn file(&self, flag: &str, variable: &str) -> Result<Option<String>, String> {
        let file = self.flags.get_one::<String>(flag).or_else(|| self.env(variable));
        file.map(|file| read(&format!("--{flag}"), Path::new(file))).transpose()
    }

    /// Without a word of the caller's: the node of this machine, if that is what is checked.
    fn admins(&self) -> Result<Vec<SocketAddr>, String> {
        let given: Vec<&String> = self.flags.get_many::<String>("admin").into_iter().flatten().collect();
        if !given.is_empty() {
            return given.iter().map(|text| admin::parsed(text, "--admin")).collect();
        }
        if self.flags.contains_id("gateway") {
            return Ok(Vec::new());
        }
        let node = self.given.get("admin-listen").and_then(|given| given.text.parse().ok());
        Ok(vec![node.map_or(ADMIN, reachable)])
    }
}

fn read(what: &str, path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| of_user(format!("{what} {}: {error}", path.display())))
}

/// Engines run their plugins as whom one does not expect.
fn of_user(error: String) -> String {
    format!("{error} (this runs as user {})", rustix::process::geteuid().as_raw())
}

fn secret(what: &str, path: &Path) -> Result<Secret, String> {
    let text = read(what, path)?;
    let text = text.trim();
    let is_good = !text.is_empty() && text.len() <= settings::SECRET_BYTES_MAX && !text.contains(char::is_whitespace);
    is_good.then(|| Secret::new(text)).ok_or_else(|| {
        format!("{what} {}: must hold one line of at most {} bytes", path.display(), settings::SECRET_BYTES_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(line: &str, env: &[(&str, &str)]) -> Result<Plan, String> {
        let flags = super::super::command("check").try_get_matches_from(line.split_whitespace()).unwrap();
        plan(&flags, &env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        (dir, path)
    }

    fn key(plan: &Plan) -> &str {
        match &plan.key {
            Key::Given(key) => key.expose(),
            Key::Database(file) => file.to_str().unwrap(),
        }
    }

    const KEY: (&str, &str) = ("BELLWIRE_SHARED_KEY", "secret");

    #[test]
    fn a_key_is_enough_for_the_default_standalone() {
        let plan = planned("check", &[KEY]).unwrap();
        assert_eq!(plan.gateways, [Place::parse("127.0.0.1:8083").unwrap()]);
        assert_eq!(plan.ingests, plan.gateways);
        assert_eq!((key(&plan), &plan.admins[..], &plan.token), ("secret", &[ADMIN][..], &None));
        assert_eq!(plan.timeout, Duration::from_secs(10));
    }

    #[test]
    fn the_key_comes_from_the_nearest_place() {
        let (_kept, path) = file("  of-a-file\n");
        assert_eq!(key(&planned(&format!("check --key-file {path}"), &[KEY]).unwrap()), "of-a-file");
        let plan = planned("check", &[("BELLWIRE_SHARED_KEY_FILE", &path)]).unwrap();
        assert_eq!(key(&plan), "of-a-file");
        let plan = planned("check", &[("BELLWIRE_MYSQL_FILE", "/mysql.cnf")]).unwrap();
        assert_eq!(plan.key, Key::Database("/mysql.cnf".into()));
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        assert!(planned("check", &[("HOME", &home)]).unwrap_err().contains("--key-file"));
        let state = dir.path().join(".local/state/bellwire");
        fs::create_dir_all(&state).unwrap();
        fs::write(trial::file(&state), "for-trying-out\n").unwrap();
        assert_eq!(key(&planned("check", &[("HOME", &home)]).unwrap()), "for-trying-out");
    }

    #[test]
    fn a_nodes_own_file_tells_the_rest() {
        let (_tokens, tokens) = file("# pollers\n\nmain:t0ken users=1\nother\n");
        let settings = format!(
            "listen = \"0.0.0.0:1\"\ningest-listen = \"127.0.0.1:2\"\nadmin-listen = \"[::]:3\"\nshared-key = \"k\"\n\
             ingest-tokens-file = \"{tokens}\"\n"
        );
        let (_kept, path) = file(&settings);
        let plan = planned("check", &[("BELLWIRE_CONFIG", &path)]).unwrap();
        assert_eq!(plan.gateways, [Place::parse("127.0.0.1:1").unwrap()]);
        assert_eq!(plan.ingests, [Place::parse("127.0.0.1:2").unwrap()]);
        assert_eq!(plan.admins, ["[::1]:3".parse().unwrap()]);
        assert_eq!(plan.token.unwrap().expose(), "t0ken");
        let plan = planned(&format!("check --config {path} --gateway a,b --gateway wss://c --ingest d"), &[]).unwrap();
        assert_eq!((plan.gateways.len(), plan.ingests.len(), plan.admins.len()), (3, 1, 0));
        let (_tls, path) = file("shared-key = \"k\"\nlisten = \"0.0.0.0:1\"\ntls-cert-file = \"/c\"\n");
        assert!(planned(&format!("check --config {path}"), &[]).unwrap_err().contains("--gateway https://NAME"));
    }

    #[test]
    fn wrong_calls_name_what_is_wrong() {
        for (line, env, word) in [
            ("check --gateway ftp://x", &[KEY][..], "--gateway"),
            ("check --ingest a:0", &[KEY], "--ingest"),
            ("check", &[KEY, ("BELLWIRE_INGEST", "ftp://x")], "BELLWIRE_INGEST"),
            ("check -w fast", &[KEY], "--warning"),
            ("check -c 5:1", &[KEY], "--critical"),
            ("check -t 0", &[KEY], "--timeout"),
            ("check -t 301", &[KEY], "at most 300"),
            ("check --admin 9083", &[KEY], "--admin"),
            ("check --key-file /no/such/file", &[], "--key-file /no/such/file: No such file"),
            ("check --token-file /no/such/file", &[KEY], "--token-file"),
            ("check --ca-file /no/such/file", &[KEY], "--ca-file"),
            ("check --config /no/such/file", &[KEY], "config"),
            ("check", &[KEY, ("BELLWIRE_SHRADS", "3")], "BELLWIRE_SHARDS"),
        ] {
            let error = planned(line, env).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
        let (_kept, path) = file("two words\n");
        assert!(planned(&format!("check --key-file {path}"), &[]).unwrap_err().contains("one line"));
    }
}
