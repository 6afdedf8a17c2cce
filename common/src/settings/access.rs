//! Who may listen and who may send: the settings of both, typed.

use std::path::PathBuf;
use std::time::Duration;

use super::values::Values;
use super::{site, value};

/// Who may listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Where logins are checked.
    pub openitcockpit: Option<OpenItCockpit>,
    /// Whether the shared key is enough.
    pub session_check: SessionCheck,
    /// How often an open tab's login is checked again.
    pub recheck: Duration,
    /// Origins whose pages may connect, as `scheme://host[:port]` in lower case; none: any.
    pub origins: Option<Vec<String>>,
    /// What users' tokens are checked with.
    pub jwt: Option<Jwt>,
    /// Failed attempts of one address in a minute.
    pub failures_per_address: u32,
    /// openITCOCKPIT's factory setting may be the shared key.
    pub allows_default_key: bool,
}

/// Where openITCOCKPIT is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenItCockpit {
    /// `scheme://host[:port]`, in lower case, without a path.
    pub origin: String,
    /// Authorities in PEM form that count instead of the system's.
    pub ca: Option<String>,
}

/// Whether the shared key is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionCheck {
    /// A login in openITCOCKPIT is needed beside it.
    #[default]
    Required,
    /// It is enough while openITCOCKPIT does not answer.
    KeyIfAway,
    /// It is enough.
    KeyOnly,
}

impl SessionCheck {
    /// The word that sets it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::KeyIfAway => "key-if-away",
            Self::KeyOnly => "key-only",
        }
    }
}

/// What users' tokens are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// Where the keys are.
    pub keys: JwtKeys,
    /// `aud` must have it.
    pub audience: String,
    /// `iss` must be it.
    pub issuer: Option<String>,
}

/// Where the keys that sign tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwtKeys {
    /// In a file: a JWKS, or public keys in PEM form.
    File(PathBuf),
    /// At an address: a JWKS.
    Url(String),
}

/// The certificate of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with the certificate and those between.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// The admin listener has TLS too.
    pub admin: bool,
}

/// Who may send, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// File with bearer tokens; none only when notifications come in on loopback.
    pub tokens_file: Option<PathBuf>,
    /// PEM file with the authorities that sign senders' certificates.
    pub client_ca_file: Option<PathBuf>,
    /// Whether users must be known.
    pub user_check: UserCheck,
    /// Label of an alert that names its users.
    pub user_label: String,
}

/// Whether users must be known to openITCOCKPIT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UserCheck {
    /// Every user is taken.
    #[default]
    Off,
    /// There must be such a user.
    Exists,
    /// And a contact of the user with push notifications switched on for the kind of object.
    Push,
}

/// The way to openITCOCKPIT's mobile app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Authorities in PEM form that count instead of the system's.
    pub ca: Option<String>,
}

impl Values<'_> {
    pub(super) fn access(&mut self) -> Access {
        let origin = self.optional("openitcockpit-url", site::site);
        let ca = self.file("openitcockpit-ca-file", value::certificates);
        if ca.is_some() && origin.is_none() {
            self.problem("openitcockpit-ca-file", "is of no use without openitcockpit-url");
        }
        let default = if origin.is_some() { SessionCheck::Required } else { SessionCheck::KeyOnly };
        let session_check = self.optional("session-check", site::session_check).unwrap_or(default);
        if session_check != SessionCheck::KeyOnly && origin.is_none() {
            self.problem("session-check", format!("{} needs openitcockpit-url", session_check.name()));
        }
        let origins = self.optional("origins", site::origins).unwrap_or_else(|| origin.clone().map(|o| vec![o]));
        Access {
            openitcockpit: origin.map(|origin| OpenItCockpit { origin, ca }),
            session_check,
            recheck: self.required("session-recheck", site::recheck, Duration::ZERO),
            origins,
            jwt: self.jwt(),
            failures_per_address: self.required("max-failures-per-address", value::count, 1),
            allows_default_key: self.required("shared-key-default", site::allow, false),
        }
    }

    fn jwt(&mut self) -> Option<Jwt> {
        let file = self.optional("jwt-keys-file", value::path).map(JwtKeys::File);
        let url = self.optional("jwt-keys-url", site::fetched).map(JwtKeys::Url);
        if file.is_some() && url.is_some() {
            self.problem("jwt-keys-url", "is given beside jwt-keys-file; give only one of the two");
        }
        let audience = self.optional("jwt-audience", site::words);
        let issuer = self.optional("jwt-issuer", site::words);
        let Some(keys) = file.or(url) else {
            for name in ["jwt-audience", "jwt-issuer"] {
                if self.given.contains_key(name) {
                    self.problem(name, "is of no use without jwt-keys-file or jwt-keys-url");
                }
            }
            return None;
        };
        let Some(audience) = audience else {
            let name = if matches!(keys, JwtKeys::File(_)) { "jwt-keys-file" } else { "jwt-keys-url" };
            self.problem(name, "needs jwt-audience: without it, tokens made for other services would open this one");
            return None;
        };
        Some(Jwt { keys, audience, issuer })
    }

    pub(super) fn tls(&mut self) -> Option<TlsFiles> {
        let cert = self.optional("tls-cert-file", value::path);
        let key = self.optional("tls-key-file", value::path);
        let admin = self.required("admin-tls", site::on, false);
        match (cert, key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key, admin }),
            (None, None) => {
                if admin {
                    self.problem("admin-tls", "on needs tls-cert-file and tls-key-file");
                }
                None
            }
            (Some(_), None) => {
                self.problem("tls-cert-file", "needs tls-key-file");
                None
            }
            (None, Some(_)) => {
                self.problem("tls-key-file", "needs tls-cert-file");
                None
            }
        }
    }

    pub(super) fn relay(&mut self) -> Option<Relay> {
        let is_on = self.required("mobile-relay", site::on, false);
        let ca = self.file("relay-ca-file", value::certificates);
        if is_on && !self.given.contains_key("mysql-file") {
            self.problem(
                "mobile-relay",
                "on needs mysql-file: the relay and the devices are in openITCOCKPIT's database",
            );
        }
        if !is_on && ca.is_some() {
            self.problem("relay-ca-file", "is of no use without mobile-relay=on");
        }
        is_on.then_some(Relay { ca })
    }

    pub(super) fn intake(&mut self) -> Intake {
        let has_database = self.given.contains_key("mysql-file");
        let default = if has_database { UserCheck::Exists } else { UserCheck::Off };
        let user_check = self.optional("user-check", site::user_check).unwrap_or(default);
        if user_check != UserCheck::Off && !has_database {
            self.problem("user-check", "needs mysql-file: users are known to openITCOCKPIT's database");
        }
        let client_ca_file = self.optional("ingest-client-ca-file", value::path);
        if client_ca_file.is_some() && !self.given.contains_key("tls-cert-file") {
            self.problem("ingest-client-ca-file", "needs tls-cert-file: there are no certificates without TLS");
        }
        Intake {
            tokens_file: self.optional("ingest-tokens-file", value::path),
            client_ca_file,
            user_check,
            user_label: self.required("webhook-user-label", site::label, String::new()),
        }
    }
}
