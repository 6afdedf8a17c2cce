//! Hands notifications to the first ingest that takes them, under one deadline.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::http::header::CONTENT_TYPE;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Error};

use crate::address::Address;
use crate::answer::{ANSWER_BYTES_MAX, Answer, judge};
use crate::args::Delivery;
use crate::lookup::Lookup;

/// Largest file of tokens, in bytes: all that an ingest takes, with names and comments.
const TOKEN_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Largest file of certificates or a key, in bytes: twice a whole system's.
const PEM_BYTES_MAX: u64 = 1024 * 1024;
/// The whole request and answer fit; what is not used is never touched.
const BUFFER_BYTES: usize = 16 * 1024;

/// What became of a notification.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An ingest has confirmed it.
    Safe,
    /// It is too old to be shown.
    Stale,
    /// Ingest will never take it; says why.
    Refused(String),
    /// An ingest is there, but has no log for this user now; says why for each address.
    Unavailable(String),
    /// No ingest took it within the deadline; says why for each address.
    NotTaken(String),
}

/// Sends notifications, one after another, to the same addresses and within one deadline.
pub(crate) struct Sender {
    agent: Agent,
    addresses: Vec<Address>,
    /// Index of the address that answered last.
    first: usize,
    /// Value of the header `Authorization`.
    authorization: Option<String>,
    deadline: Instant,
}

impl Sender {
    /// Reads token and certificates; the error names the file and what is wrong with it. The deadline counts from
    /// `started`.
    pub(crate) fn try_new(delivery: &Delivery, started: Instant) -> Result<Self, String> {
        let authorization = delivery.token_file.as_deref().map(read_token).transpose()?;
        let mut config = Agent::config_builder()
            // No proxy, whatever the environment says: engines export one for their plugins, and an alarm must not
            // depend on it.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .user_agent(concat!("bellwire-notify/", env!("CARGO_PKG_VERSION")));
        if delivery.addresses.iter().any(Address::is_https) {
            config = config.tls_config(tls(delivery)?);
        }
        Ok(Self {
            agent: Agent::with_parts(config.build(), DefaultConnector::default(), Lookup),
            addresses: delivery.addresses.clone(),
            first: 0,
            authorization,
            deadline: started + delivery.deadline,
        })
    }

    /// Whether there is time for another notification.
    pub(crate) fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// Offers the notification `id`, whose JSON is `body`, to one address after another, from the one that answered
    /// last. Each gets an equal share of the time that is left, so that a silent one leaves time for the next.
    pub(crate) fn send(&mut self, body: &[u8], id: &str) -> Outcome {
        let count = self.addresses.len();
        let mut reasons = Vec::with_capacity(count);
        let mut is_unavailable = false;
        for turn in 0..count {
            let index = (self.first + turn) % count;
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                reasons.push(format!("no time left for {}", self.addresses[index]));
                break;
            }
            let share = left / u32::try_from(count - turn).unwrap_or(1);
            match self.post(index, body, id, share) {
                Answer::Safe => {
                    self.first = index;
                    return Outcome::Safe;
                }
                Answer::Stale => {
                    self.first = index;
                    return Outcome::Stale;
                }
                Answer::Refused(reason) => return Outcome::Refused(reason),
                Answer::Unavailable(reason) => {
                    is_unavailable = true;
                    reasons.push(format!("{}: {reason}", self.addresses[index]));
                }
                Answer::Later(reason) => reasons.push(format!("{}: {reason}", self.addresses[index])),
            }
        }
        let reasons = reasons.join("; ");
        if is_unavailable { Outcome::Unavailable(reasons) } else { Outcome::NotTaken(reasons) }
    }

    fn post(&self, index: usize, body: &[u8], id: &str, share: Duration) -> Answer {
        let mut request = self.agent.post(self.addresses[index].url()).content_type("application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(share)).build();
        let answer = request.send(body).and_then(|mut response| {
            let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
            Ok((response, body))
        });
        match answer {
            Ok((response, body)) => {
                let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                judge(response.status().as_u16(), content_type.unwrap_or_default(), &body, id)
            }
            Err(error) => Answer::Later(describe(&error, share)),
        }
    }
}

fn describe(error: &Error, share: Duration) -> String {
    match error {
        Error::Timeout(_) => format!("no answer within {share:.1?}"),
        Error::BodyExceedsLimit(_) => format!("an answer of more than {ANSWER_BYTES_MAX} bytes: is it an ingest?"),
        Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// The first token of a file, by the rules of ingest's own: a standalone's command may be given the same file.
fn read_token(path: &Path) -> Result<String, String> {
    let wrong = |reason: &str| format!("--token-file {}: {reason}", path.display());
    let bytes = read_bounded(path, TOKEN_FILE_BYTES_MAX).map_err(|error| wrong(&error.to_string()))?;
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with(b"#")).ok_or_else(|| wrong("holds no token"))?;
    // What a token may do stands behind it, and is ingest's business.
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let token = match first.iter().position(|byte| *byte == b':') {
        None => first,
        Some(colon) if colon + 1 < first.len() => &first[colon + 1..],
        Some(_) => words.next().unwrap_or_default(),
    };
    if words.any(|word| !word.starts_with(b"users=") && !word.starts_with(b"paths=")) {
        return Err(wrong("behind its first token may stand users= and paths=, nothing else"));
    }
    match std::str::from_utf8(token) {
        Ok(token) if !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) => Ok(format!("Bearer {token}")),
        _ => Err(wrong("its first token must consist of visible ASCII characters")),
    }
}

fn tls(delivery: &Delivery) -> Result<TlsConfig, String> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = &delivery.ca_file {
        tls = tls.root_certs(RootCerts::new_with_certs(&read_certificates("--ca-file", path)?));
    }
    let client = match (&delivery.client_cert, &delivery.client_key) {
        (Some(cert), Some(key)) => {
            Some(ClientCert::new_with_certs(&read_certificates("--client-cert", cert)?, read_key(key)?))
        }
        (None, None) => None,
        (Some(_), None) => return Err("--client-cert needs --client-key".to_owned()),
        (None, Some(_)) => return Err("--client-key needs --client-cert".to_owned()),
    };
    Ok(tls.client_cert(client).build())
}

fn read_key(path: &Path) -> Result<PrivateKey<'static>, String> {
    let wrong = |reason: &str| format!("--client-key {}: {reason}", path.display());
    let pem = read_bounded(path, PEM_BYTES_MAX).map_err(|error| wrong(&error.to_string()))?;
    // What is said of a bad line may quote it.
    PrivateKey::from_pem(&pem).map_err(|_| wrong("holds no private key in PEM form that can be used"))
}

fn read_certificates(option: &str, path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let wrong = |reason: &str| format!("{option} {}: {reason}", path.display());
    let pem = read_bounded(path, PEM_BYTES_MAX).map_err(|error| wrong(&error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(&error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("holds no certificate in PEM form"));
    }
    Ok(certificates)
}

/// Reads a whole file that must not be larger than `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("is larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_checked_before_they_become_a_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read_token(&path)
        };
        assert_eq!(read(b" secret\n"), Ok("Bearer secret".into()));
        let server = b"# pollers\r\n\n  poller-1: f1rst\r\nplain-token\nInjected: 1\n";
        assert_eq!(read(server), Ok("Bearer f1rst".into()));
        assert_eq!(read(b"name:a:b"), Ok("Bearer a:b".into()));
        assert_eq!(read(b"name: s users=7,a:b\tpaths=/message"), Ok("Bearer s".into()));
        assert_eq!(read(b"s users=a:b"), Ok("Bearer s".into()));
        for bad in
            [&b""[..], b"\n", b"# none\n", b"name:", b"name: ", b"two words", b"x\rInjected", b"\xff", &[b'x'; 300_000]]
        {
            let error = read(bad).unwrap_err();
            assert!(error.starts_with("--token-file /"), "{error}");
            assert!(!error.contains("words") && !error.contains("Injected"), "{error}");
        }
        assert!(read_token(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        assert!(read_certificates("--ca-file", &path).unwrap_err().ends_with("holds no certificate in PEM form"));
    }
}
