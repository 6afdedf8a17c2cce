//! Trying out: a key that nobody had to set up, and the words that say what to do with it.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use bellwire_common::notification;
use bellwire_common::settings::{LogAddress, Secret, Standalone, defaults};

/// Name of the file beside the log.
const FILE: &str = "shared-key";

/// As many as openITCOCKPIT makes; twice as many hexadecimal characters.
const KEY_BYTES: usize = 80;

/// A key made here.
#[derive(Debug)]
pub(crate) struct Key {
    secret: Secret,
    path: Option<PathBuf>,
}

impl Key {
    /// The key that is kept in `directory`, made now if there is none; without a directory a new one.
    pub(crate) fn of(directory: Option<&Path>) -> anyhow::Result<Self> {
        let Some(directory) = directory else {
            return Ok(Self { secret: make()?, path: None });
        };
        let path = file(directory);
        let secret = keep(directory, &path)
            .with_context(|| format!("cannot keep a key for trying out in {}; set shared-key-file", path.display()))?;
        Ok(Self { secret, path: Some(path) })
    }

    /// The key itself.
    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Where the key is kept in `directory`.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

fn keep(directory: &Path, path: &Path) -> anyhow::Result<Secret> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    match fs::read_to_string(path) {
        Ok(text) => {
            let key = text.trim();
            if key.len() != 2 * KEY_BYTES || !key.bytes().all(|b| b.is_ascii_hexdigit()) {
                bail!("what it holds is not a key that was made here; remove it, and a new one is made");
            }
            if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600))?;
            }
            Ok(Secret::new(key))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = make()?;
            write(directory, path, &key)?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whole or not at all: a key cut short by a crash would lock out whoever has the address.
fn write(directory: &Path, path: &Path, key: &Secret) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

fn make() -> anyhow::Result<Secret> {
    let mut bytes = [0; KEY_BYTES];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("cannot read /dev/urandom")?;
    let mut key = String::with_capacity(2 * KEY_BYTES);
    for byte in bytes {
        let _ = write!(key, "{byte:02x}");
    }
    Ok(Secret::new(&key))
}

/// What to do next.
pub(crate) struct Invitation<'a> {
    pub(crate) program: &'a str,
    pub(crate) settings: &'a Standalone,
    pub(crate) page: SocketAddr,
    pub(crate) ingest: SocketAddr,
    pub(crate) key: &'a Key,
}

impl Invitation<'_> {
    /// Prints it to stdout; nobody reading there is no failure.
    pub(crate) fn print(&self) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(self.text().as_bytes()).and_then(|()| stdout.flush());
    }

    fn text(&self) -> String {
        let (page, ingest) = (self.page, self.ingest);
        let tls = self.settings.node.tls.as_ref();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut flags = String::new();
        if tls.is_some() || ingest != defaults::TABS.address {
            let _ = write!(flags, " --ingest {scheme}://{ingest}");
        }
        let mut header = String::new();
        if tls.is_some() {
            flags.push_str(" --ca-file CA");
            header.push_str(" --cacert CA");
        }
        if self.settings.intake.client_ca_file.is_some() {
            flags.push_str(" --client-cert CERT --client-key KEY");
            header.push_str(" --cert CERT --key KEY");
        }
        if let Some(file) = &self.settings.intake.tokens_file {
            // The command takes the first token of ingest's own file.
            let file = quote(&file.display().to_string());
            let _ = write!(flags, " --token-file {file}");
            header.push_str(" -H 'Authorization: Bearer TOKEN'");
        }
        let files = if tls.is_some() {
            "\n\nCA is the file with the authority that signed the certificate; leave it out if every system knows it."
        } else {
            ""
        };
        let kept = match (&self.key.path, &self.settings.node.log) {
            (Some(path), _) => format!("kept in {}", path.display()),
            (None, LogAddress::Memory) => "new at each start, because the log is in memory".to_owned(),
            (None, _) => "new at each start".to_owned(),
        };
        format!(
            "
Bellwire is ready, with a key of its own: this is for trying out, on this machine.

1. Open this address in a browser; it shows what user 1 gets:

   {scheme}://{page}/#user=1&key={key}

2. Send user 1 a notification, as a monitoring engine would:

   {program} notify{flags} --type service --notificationtype PROBLEM --hostuuid web1 --serviceuuid http \\
     --state 2 --output 'HTTP CRITICAL: connection refused' --user-id 1

Or by HTTP:

   curl -sS {scheme}://{ingest}{path} -H 'Content-Type: application/json'{header} \\
     -d '{{\"user\": \"1\", \"kind\": \"message\", \"title\": \"Hello\", \"body\": \"It works\"}}'{files}

The key is {kept}. Whoever has it can read any user's notifications.
For real use set shared-key-file, beside openITCOCKPIT to its SUDO_SERVER.API_KEY: docs/configuration.md.

",
            path = notification::PATH,
            key = self.key.secret.expose(),
            program = quote(self.program),
        )
    }
}

/// For a shell.
fn quote(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&b)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::net::TcpListener;
    use std::sync::mpsc::channel;

    use bellwire_common::settings::{Role, Sources, add_flags, standalone};
    use bellwire_ingest::Tokens;

    use super::*;

    #[test]
    fn a_key_outlives_the_process_and_is_nobody_elses_to_read() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("data");
        let first = Key::of(Some(&directory)).unwrap();
        assert_eq!(first.secret.expose().len(), 160);
        let path = directory.join(FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let second = Key::of(Some(&directory)).unwrap();
        assert_eq!((second.secret.expose(), mode()), (first.secret.expose(), 0o600));
        assert_ne!(Key::of(None).unwrap().secret, first.secret);
    }

    #[test]
    fn a_file_that_is_no_key_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), "precious").unwrap();
        let error = format!("{:#}", Key::of(Some(root.path())).unwrap_err());
        assert!(error.contains("remove it") && error.contains("shared-key-file"), "{error}");
        assert_eq!(fs::read_to_string(root.path().join(FILE)).unwrap(), "precious");
    }

    /// The head of the one request that `bellwire notify` makes with these words.
    fn request_of(address: SocketAddr, listener: TcpListener, words: &[&str]) -> String {
        let (sender, heads) = channel();
        std::thread::spawn(move || {
            let (mut stream, mut head) = (listener.accept().unwrap().0, Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            sender.send(String::from_utf8(head).unwrap()).unwrap();
        });
        let address = address.to_string();
        let args = ["--ingest", &address, "--hostuuid", "h", "--user-id", "1"].into_iter().chain(words.iter().copied());
        bellwire_notify::run("bellwire notify", args.map(OsString::from), &|_| None);
        heads.try_recv().expect("it sends nothing")
    }

    #[test]
    fn the_tokens_file_that_it_names_opens_ingest_to_the_command() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("tokens");
        fs::write(&path, "# pollers\n\npoller-1: 0123456789abcdef\npoller-2: fedcba9876543210\n").unwrap();
        let file = path.to_str().unwrap();
        let command = add_flags(clap::Command::new("bellwire"), Role::Standalone);
        let flags = command.get_matches_from(["bellwire", "--log", "memory:", "--ingest-tokens-file", file]);
        let read = |path: &Path| fs::read_to_string(path);
        let settings = standalone(&Sources { flags: &flags, env: &BTreeMap::new(), read: &read }).unwrap().settings;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ingest = listener.local_addr().unwrap();
        let key = Key::of(None).unwrap();
        let text = Invitation { program: "bellwire", settings: &settings, page: ingest, ingest, key: &key }.text();
        let flag = format!("bellwire notify --ingest http://{ingest} --token-file {file} --type service");
        assert!(text.contains(&flag), "{text}");
        let head = request_of(ingest, listener, &["--token-file", file]);
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap();
        assert!(Tokens::load(&path).unwrap().grant(token.as_bytes()).is_some(), "{head}");
    }

    #[test]
    fn with_tls_every_address_says_so() {
        let command = add_flags(clap::Command::new("bellwire"), Role::Standalone);
        let words = "bellwire --log memory: --tls-cert-file /c --tls-key-file /k --ingest-client-ca-file /a";
        let flags = command.get_matches_from(words.split(' '));
        let read = |path: &Path| fs::read_to_string(path);
        let settings = standalone(&Sources { flags: &flags, env: &BTreeMap::new(), read: &read }).unwrap().settings;
        let key = Key::of(None).unwrap();
        let at = defaults::TABS.address;
        let text = Invitation { program: "bellwire", settings: &settings, page: at, ingest: at, key: &key }.text();
        let notify = "--ingest https://127.0.0.1:8083 --ca-file CA --client-cert CERT --client-key KEY --type";
        for part in
            ["https://127.0.0.1:8083/#user=1", notify, "curl -sS https://127.0.0.1:8083/", "--cert CERT --key KEY \\\n"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("http://"), "{text}");
    }

    /// It is a program of its own, and depends on nothing of the node's.
    #[test]
    fn notify_goes_where_a_node_listens() {
        assert_eq!(bellwire_notify::ADDRESS_DEFAULT, format!("http://{}", defaults::TABS.text));
        assert_eq!(bellwire_notify::PORT_DEFAULT, defaults::TABS.address.port());
        assert_eq!(bellwire_notify::PATH, notification::PATH);
    }

    #[test]
    fn names_are_quoted_for_a_shell() {
        assert_eq!(quote("./target/release/bellwire"), "./target/release/bellwire");
        assert_eq!(quote("a b'c"), "'a b'\\''c'");
        assert_eq!(quote(""), "''");
    }
}
