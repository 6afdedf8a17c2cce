//! Certificates of a test's own, and clients that speak TLS with them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An authority that signs whatever it is asked to.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, in PEM form.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

/// A connection, with TLS or without.
pub type Connection = Box<dyn Duplex>;

/// Can be read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

// === impl Authority ===

impl Authority {
    /// A new one.
    pub fn try_new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// Its certificate in PEM form.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// For a server on this machine.
    pub fn server(&self) -> Result<Pair> {
        self.sign("a server of the tests", ExtendedKeyUsagePurpose::ServerAuth, 4000)
    }

    /// For a client.
    pub fn client(&self, name: &str) -> Result<Pair> {
        self.sign(name, ExtendedKeyUsagePurpose::ClientAuth, 4000)
    }

    /// For a server until the first of January of `year`.
    pub fn server_until(&self, year: i32) -> Result<Pair> {
        self.sign("a server of the tests", ExtendedKeyUsagePurpose::ServerAuth, year)
    }

    /// For a client until the first of January of `year`.
    pub fn client_until(&self, name: &str, year: i32) -> Result<Pair> {
        self.sign(name, ExtendedKeyUsagePurpose::ClientAuth, year)
    }

    /// For a server, from now on for so many days.
    pub fn server_for(&self, days: u64) -> Result<Pair> {
        let end = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(days * 86_400);
        let mut params = params("a server of the tests", ExtendedKeyUsagePurpose::ServerAuth)?;
        params.not_after = date_time_ymd(1970, 1, 1) + end;
        self.sign_as(params)
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose, year: i32) -> Result<Pair> {
        let mut params = params(name, usage)?;
        params.not_after = date_time_ymd(year, 1, 1);
        self.sign_as(params)
    }

    fn sign_as(&self, params: CertificateParams) -> Result<Pair> {
        let key = KeyPair::generate()?;
        Ok(Pair { cert: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
    }

    /// A client that trusts it, with a certificate or without.
    pub fn trusting(&self, certificate: Option<&Pair>) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes())?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => builder.with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(pair.cert.as_bytes())?],
                PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?,
            )?,
        };
        Ok(Arc::new(config))
    }
}

fn params(name: &str, usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    params.not_before = date_time_ymd(2000, 1, 1);
    Ok(params)
}

impl Pair {
    /// Writes both into a folder, as `NAME.pem` and `NAME.key`; their paths.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&cert, &self.cert)?;
        fs::write(&key, &self.key)?;
        Ok((cert, key))
    }
}

/// Connects to `address`, with TLS if there is a client for it.
pub async fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    over(stream, tls).await
}

/// The same over a connection that there is already.
pub async fn over(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Connection> {
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::from(stream.peer_addr()?.ip());
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}
