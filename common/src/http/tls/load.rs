//! From files to what rustls takes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring::{Ticketer, default_provider, sign};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::Files;
use crate::settings::{Invalid, Problem};

/// Largest file, in bytes: more than a whole system's authorities take.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

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

impl From<TlsError> for Invalid {
    fn from(error: TlsError) -> Self {
        let (setting, source_name) = (error.setting.into(), error.path.display().to_string());
        Self(vec![Problem { setting, source_name, message: error.what }])
    }
}

/// What the files say.
pub(super) struct Configs {
    /// For clients that are not asked who they are.
    pub(super) usual: Arc<ServerConfig>,
    /// For those that are; none without authorities.
    pub(super) asking: Option<Arc<ServerConfig>>,
    /// The certificate's end in seconds since 1970, if it can be read.
    pub(super) not_after: Option<i64>,
}

pub(super) fn load(files: &Files) -> Result<Configs, TlsError> {
    let cert = Named { setting: "tls-cert-file", path: &files.cert };
    let key = Named { setting: "tls-key-file", path: &files.key };
    let chain = cert.certificates()?;
    let not_after = not_after(&chain[0]);
    let pair = Arc::new(SingleCertAndKey::from(pair(chain, &cert, &key)?));
    let provider = Arc::new(default_provider());
    let builder = || {
        ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| cert.wrong(error))
    };
    let mut usual = builder()?.with_no_client_auth().with_cert_resolver(Arc::clone(&pair) as _);
    usual.alpn_protocols = vec![b"http/1.1".to_vec()];
    usual.ticketer = Ticketer::new().map_err(|error| cert.wrong(error))?;
    let asking = match &files.client_ca {
        None => None,
        Some(path) => {
            let ca = Named { setting: "ingest-client-ca-file", path };
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()?), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| ca.wrong(error))?;
            let mut config = builder()?.with_client_cert_verifier(verifier).with_cert_resolver(pair);
            config.alpn_protocols.clone_from(&usual.alpn_protocols);
            // Each connection shows its certificate: a session that is taken up again would outlive it.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Some(Arc::new(config))
        }
    };
    Ok(Configs { usual: Arc::new(usual), asking, not_after })
}

fn pair(
    chain: Vec<CertificateDer<'static>>,
    cert: &Named<'_>,
    key: &Named<'_>,
) -> Result<CertifiedKey, TlsError> {
    // What rustls says of a bad line may quote it.
    let der = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|_| {
        key.wrong("holds no private key in PEM form that can be used (PKCS #8, PKCS #1 or SEC 1, not encrypted)")
    })?;
    let signing = sign::any_supported_type(&der)
        .map_err(|_| key.wrong("holds a private key that is neither RSA, ECDSA (P-256, P-384) nor Ed25519"))?;
    let pair = CertifiedKey::new(chain, signing);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => {
            Err(key.wrong(format!("is not the key of the first certificate in {}", cert.path.display())))
        }
        Err(error) => Err(cert.wrong(format!("its first certificate cannot be used: {error}"))),
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// A file and the setting that names it.
struct Named<'a> {
    setting: &'static str,
    path: &'a Path,
}

impl Named<'_> {
    fn wrong(&self, what: impl ToString) -> TlsError {
        TlsError { setting: self.setting, path: self.path.to_owned(), what: what.to_string() }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let mut bytes = Vec::new();
        let read = |bytes| -> io::Result<usize> { File::open(self.path)?.take(FILE_BYTES_MAX + 1).read_to_end(bytes) };
        read(&mut bytes).map_err(|error| self.wrong(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(self.wrong(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        Ok(bytes)
    }

    /// At least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = self.read()?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| self.wrong("is not in PEM form"))?;
        if chain.is_empty() { Err(self.wrong("holds no certificate in PEM form")) } else { Ok(chain) }
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in self.certificates()?.into_iter().enumerate() {
            roots
                .add(certificate)
                .map_err(|error| self.wrong(format!("its certificate {} cannot be used: {error}", index + 1)))?;
        }
        Ok(roots)
    }
}
