//! From files to what rustls takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring::{Ticketer, default_provider, sign};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use crate::settings::{Invalid, Problem, TlsFiles};
use crate::watched::WatchedError;

/// A file that cannot be used. Never quotes it.
#[derive(Debug, thiserror::Error)]
#[error("{setting} {path}: {what}")]
pub struct TlsError {
    /// The setting that names the file.
    pub setting: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl TlsError {
    pub(super) fn of_pair(error: WatchedError, files: &TlsFiles) -> Self {
        let is_key = |path: &Path| path == files.key && path != files.cert;
        Self::of(error, |path| if is_key(path) { "tls-key-file" } else { "tls-cert-file" })
    }

    pub(super) fn of_client_ca(error: WatchedError) -> Self {
        Self::of(error, |_| "ingest-client-ca-file")
    }

    pub(super) fn of_both(error: &Error, files: &TlsFiles) -> Self {
        Self { setting: "tls-cert-file", path: files.cert.clone(), what: error.to_string() }
    }

    fn of(error: WatchedError, setting: impl Fn(&Path) -> &'static str) -> Self {
        let (path, what) = match error {
            WatchedError::Read { path, error } => (path, format!("cannot be read: {error}")),
            WatchedError::TooLarge(path) => (path, "is too large".to_owned()),
            WatchedError::Parse { path, message } => (path, message),
        };
        Self { setting: setting(&path), path, what }
    }
}

impl From<TlsError> for Invalid {
    fn from(error: TlsError) -> Self {
        let (setting, source_name) = (error.setting.into(), error.path.display().to_string());
        Self(vec![Problem { setting, source_name, message: error.what }])
    }
}

/// A certificate with those between and its key.
#[derive(Clone)]
pub(super) struct Pair {
    resolver: Arc<SingleCertAndKey>,
    /// The certificate's end in seconds since 1970, if it can be read.
    pub(super) not_after: Option<i64>,
}

/// What the files say.
pub(super) struct Configs {
    /// For clients that are not asked who they are.
    pub(super) usual: Arc<ServerConfig>,
    /// For those that are; none without authorities.
    pub(super) asking: Option<Arc<ServerConfig>>,
}

pub(super) fn configs(pair: &Pair, roots: Option<&Arc<RootCertStore>>) -> Result<Configs, Error> {
    let provider = Arc::new(default_provider());
    let builder = || ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let mut usual = builder()?.with_no_client_auth().with_cert_resolver(Arc::clone(&pair.resolver) as _);
    usual.alpn_protocols = vec![b"http/1.1".to_vec()];
    usual.ticketer = Ticketer::new()?;
    let Some(roots) = roots else { return Ok(Configs { usual: Arc::new(usual), asking: None }) };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut asking = builder()?.with_client_cert_verifier(verifier).with_cert_resolver(Arc::clone(&pair.resolver) as _);
    asking.alpn_protocols.clone_from(&usual.alpn_protocols);
    // Each connection shows its certificate: a session that is taken up again would outlive it.
    asking.session_storage = Arc::new(NoServerSessionStorage {});
    asking.send_tls13_tickets = 0;
    Ok(Configs { usual: Arc::new(usual), asking: Some(Arc::new(asking)) })
}

/// Of the contents of both files; errors name the key's.
pub(super) fn pair(contents: &[Vec<u8>], key_path: &Path) -> Result<Pair, String> {
    let [cert, key] = contents else { return Err("there must be two files".to_owned()) };
    let chain = certificates(cert)?;
    let not_after = not_after(&chain[0]);
    let of_key = |what: &str| format!("the key in {} {what}", key_path.display());
    // What is said of a bad line may quote it.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        of_key("cannot be used: there must be one in PEM form (PKCS #8, PKCS #1 or SEC 1), not encrypted")
    })?;
    let key = sign::any_supported_type(&key)
        .map_err(|_| of_key("cannot be used: it must be RSA of at least 2048 bits, ECDSA (P-256, P-384) or Ed25519"))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Pair { resolver: Arc::new(SingleCertAndKey::from(pair)), not_after })
        }
        Err(Error::InconsistentKeys(_)) => Err(of_key("is not that of the first certificate")),
        Err(error) => Err(format!("its first certificate cannot be used: {error}")),
    }
}

/// The authorities of a file.
pub(super) fn roots(contents: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(contents)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| format!("its certificate {} cannot be used: {error}", index + 1))?;
    }
    Ok(Arc::new(roots))
}

/// At least one.
fn certificates(contents: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(contents)
        .collect::<Result<_, _>>()
        .map_err(|_| "is not in PEM form".to_owned())?;
    if chain.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(chain) }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
