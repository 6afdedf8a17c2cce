//! How to reach the database: `mysql.cnf` as openITCOCKPIT writes it and as its PHP part reads it. Pure.
//!
//! A value is the rest of its line, so that `#` and `;` may be part of a password; one pair of quotes around it is
//! taken off, and nothing inside is. The rules for ini files of others say otherwise, and would lock us out.

use std::fmt;

use crate::settings::Secret;

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 64 * 1024;
/// Longest host or path of a socket, in bytes.
pub const HOST_BYTES_MAX: usize = 255;
/// Longest user and database, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 512;

/// Where the port is not said.
const PORT: u16 = 3306;

/// What the file says. Shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Where the server is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The account.
    pub user: String,
    /// Its password; empty where there is none.
    pub password: Secret,
    /// The database.
    pub database: String,
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// On this machine: a Unix socket first, this one or a usual one, then TCP.
    Local {
        /// Path of the socket, if the file names one.
        socket: Option<String>,
    },
    /// At this name or address, by TCP.
    Remote(String),
}

/// Why a file is none that tells how to reach the database. Never quotes what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is larger than [`FILE_BYTES_MAX`].
    #[error("must be at most {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// It is no text.
    #[error("must be text in UTF-8")]
    NotText,
    /// A key is not there, or has no value.
    #[error("{0} must be given in the section [client]")]
    Missing(&'static str),
    /// A value is too long.
    #[error("{0} must be at most {1} bytes")]
    TooLong(&'static str, usize),
    /// A value has characters that do not belong there.
    #[error("{0} must not contain control characters")]
    Control(&'static str),
    /// The port is none.
    #[error("port must be a whole number from 1 to 65535")]
    Port,
}

impl Credentials {
    /// Reads the whole of a `mysql.cnf`: the sections `[client]` and `[mysql]`, the later line counts. Other sections and
    /// keys are nobody's business here.
    pub fn parse(file: &[u8]) -> Result<Self, CredentialsError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(CredentialsError::TooLarge);
        }
        let text = str::from_utf8(file).map_err(|_| CredentialsError::NotText)?;
        let values = Values::of(text);
        let host = values.optional("host", values.host, HOST_BYTES_MAX)?.unwrap_or("localhost");
        let socket = values.optional("socket", values.socket, HOST_BYTES_MAX)?.map(str::to_owned);
        let host =
            if host.eq_ignore_ascii_case("localhost") { Host::Local { socket } } else { Host::Remote(host.to_owned()) };
        let port = match values.optional("port", values.port, 5).map_err(|_| CredentialsError::Port)? {
            None => PORT,
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or(CredentialsError::Port)?,
        };
        let password = values.optional("password", values.password, PASSWORD_BYTES_MAX)?.unwrap_or_default();
        Ok(Self {
            host,
            port,
            user: values.required("user", values.user)?,
            password: Secret::new(password),
            database: values.required("database", values.database)?,
        })
    }
}

/// The last value of each key.
#[derive(Default)]
struct Values<'a> {
    host: Option<&'a str>,
    socket: Option<&'a str>,
    port: Option<&'a str>,
    user: Option<&'a str>,
    password: Option<&'a str>,
    database: Option<&'a str>,
}

impl<'a> Values<'a> {
    fn of(text: &'a str) -> Self {
        let mut values = Self::default();
        let mut is_ours = false;
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
            if line.starts_with([';', '#']) {
                continue;
            }
            if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                is_ours = ["client", "mysql"].iter().any(|ours| section.trim().eq_ignore_ascii_case(ours));
                continue;
            }
            if let (true, Some((key, value))) = (is_ours, line.split_once('=')) {
                values.take(key.trim(), unquoted(value.trim()));
            }
        }
        values
    }

    fn take(&mut self, key: &str, value: &'a str) {
        let place = match key {
            "host" => &mut self.host,
            "socket" => &mut self.socket,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "password" => &mut self.password,
            "database" => &mut self.database,
            _ => return,
        };
        *place = Some(value).filter(|value| !value.is_empty());
    }

    fn optional(
        &self,
        key: &'static str,
        value: Option<&'a str>,
        bytes_max: usize,
    ) -> Result<Option<&'a str>, CredentialsError> {
        match value {
            Some(value) if value.len() > bytes_max => Err(CredentialsError::TooLong(key, bytes_max)),
            Some(value) if value.contains(char::is_control) => Err(CredentialsError::Control(key)),
            value => Ok(value),
        }
    }

    fn required(&self, key: &'static str, value: Option<&'a str>) -> Result<String, CredentialsError> {
        self.optional(key, value, NAME_BYTES_MAX)?.map(str::to_owned).ok_or(CredentialsError::Missing(key))
    }
}

/// Without one pair of quotes around it.
fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { .. } => f.write_str("localhost"),
            Self::Remote(host) => f.write_str(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(lines: &str) -> Result<Credentials, CredentialsError> {
        Credentials::parse(format!("; a comment\n[client]\ndatabase = d\nuser = u\n{lines}").as_bytes())
    }

    fn password(line: &str) -> String {
        parsed(&format!("password{line}")).unwrap().password.expose().to_owned()
    }

    #[test]
    fn a_file_as_openitcockpit_writes_it_is_understood() {
        let file = "; MySQL\n[client]\ndatabase = openitcockpit\nhost = db.example\nuser = oitc\npassword = abc\nport = 3307\n";
        let credentials = Credentials::parse(file.as_bytes()).unwrap();
        assert_eq!(credentials.host, Host::Remote("db.example".into()));
        assert_eq!((credentials.port, &*credentials.user, &*credentials.database), (3307, "oitc", "openitcockpit"));
        assert_eq!(credentials.password.expose(), "abc");
        assert!(!format!("{credentials:?}").contains("abc"));
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let credentials = parsed("").unwrap();
        assert_eq!((credentials.host, credentials.port), (Host::Local { socket: None }, 3306));
        assert_eq!(credentials.password.expose(), "");
        let credentials = parsed("host = LocalHost\nsocket = /run/s\n").unwrap();
        assert_eq!(credentials.host, Host::Local { socket: Some("/run/s".into()) });
        assert_eq!(parsed("host = 127.0.0.1").unwrap().host, Host::Remote("127.0.0.1".into()));
    }

    #[test]
    fn a_password_is_the_rest_of_its_line() {
        for (line, expected) in [
            (" = a#b;c", "a#b;c"),
            ("=a = b", "a = b"),
            (" = \"a#;'b\" ", "a#;'b"),
            (" = 'a\"b'", "a\"b"),
            (" = ''a''", "'a'"),
            (" = \"a", "\"a"),
            (" = '", "'"),
            (" = \"\"", ""),
            (" = a\\nb", "a\\nb"),
            (" = ;#\r", ";#"),
            (" = [x]", "[x]"),
            (" = päss ", "päss"),
        ] {
            assert_eq!(password(line), expected, "{line:?}");
        }
    }

    #[test]
    fn only_two_sections_count_and_the_later_line_wins() {
        let file = "user = no\n[mysqld]\nuser = no\n[client]\nuser = a\nskip-ssl\n#user = no\n[mysql]\nuser=b\ndatabase=d\n[x]\nuser=no";
        assert_eq!(Credentials::parse(file.as_bytes()).unwrap().user, "b");
    }

    #[test]
    fn errors_name_the_key_and_the_limit_and_no_value() {
        let long = "geheim".repeat(100);
        for (lines, expected) in [
            ("port = 0", "port must be a whole number from 1 to 65535"),
            ("port = 65536", "port must be a whole number from 1 to 65535"),
            ("port = geheim", "port must be a whole number from 1 to 65535"),
            (&format!("password = {long}"), "password must be at most 512 bytes"),
            ("password = gehe\u{7}im", "password must not contain control characters"),
            (&format!("host = {long}"), "host must be at most 255 bytes"),
            (&format!("user = {long}"), "user must be at most 128 bytes"),
            ("user = ''", "user must be given in the section [client]"),
            ("database =", "database must be given in the section [client]"),
        ] {
            let error = parsed(lines).unwrap_err().to_string();
            assert_eq!(error, expected);
            assert!(!error.contains("geheim"));
        }
        assert_eq!(Credentials::parse(&vec![b'#'; FILE_BYTES_MAX + 1]), Err(CredentialsError::TooLarge));
        assert_eq!(Credentials::parse(b"\xff"), Err(CredentialsError::NotText));
    }

    proptest! {
        #[test]
        fn any_password_of_one_line_is_kept(word in "[!-~][ -~]{0,40}[!-~]") {
            prop_assume!(unquoted(&word) == word);
            prop_assert_eq!(password(&format!(" = {word}")), word.clone());
            prop_assert_eq!(password(&format!(" = \"{word}\"")), word.clone());
            prop_assert_eq!(password(&format!(" = '{word}'")), word);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Credentials::parse(&bytes);
        }
    }
}
