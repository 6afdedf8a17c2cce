//! The handshake.

use std::io;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{Error, ServerConnection};
use tokio_rustls::server::TlsStream;

use super::super::wire::Timed;
use super::{ClientCertificate, SPEAKS_TLS, Tls};

/// What rustls holds of what is written and the kernel does not take yet, at most; also of each record.
const BUFFER_BYTES: usize = 16 * 1024;

/// What is read of a request without TLS, so that the connection does not end with an error before its answer was read.
const PLAIN_BYTES: usize = 4 * 1024;

/// Why there is no TLS on a connection: the label of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Failed {
    /// It was plain HTTP.
    PlainHttp,
    /// It took too long, or others needed its place.
    Timeout,
    /// The client went.
    Lost,
    /// What came is no TLS.
    Malformed,
    /// No version or method in common.
    Incompatible,
    /// The client does not take our certificate.
    CertificateRefused,
    /// We do not take the client's.
    ClientCertificate,
}

impl Failed {
    pub(in crate::http) fn label(self) -> &'static str {
        match self {
            Self::PlainHttp => "plain_http",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Malformed => "malformed",
            Self::Incompatible => "incompatible",
            Self::CertificateRefused => "certificate_refused",
            Self::ClientCertificate => "client_certificate",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
            None => Self::Lost,
            Some(Error::AlertReceived(_)) => Self::CertificateRefused,
            Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => Self::ClientCertificate,
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Self::Incompatible,
            Some(_) => Self::Malformed,
        }
    }
}

impl Tls {
    /// Waits for the client as long as it takes.
    pub(in crate::http) async fn shake(
        &self,
        mut wire: Timed,
    ) -> Result<(TlsStream<Timed>, Option<ClientCertificate>), (Failed, io::Error)> {
        let lost = |error| (Failed::Lost, error);
        let mut first = [0];
        wire.stream.peek(&mut first).await.map_err(lost)?;
        if first[0].is_ascii_uppercase() {
            let answered = refuse_plain(&mut wire).await;
            return Err((Failed::PlainHttp, answered.err().unwrap_or_else(|| io::Error::other(SPEAKS_TLS))));
        }
        let acceptor = TlsAcceptor::from(self.config());
        let accepted = acceptor.accept_with(wire, |connection| connection.set_buffer_limit(Some(BUFFER_BYTES))).await;
        let stream = accepted.map_err(|error| (Failed::of(&error), error))?;
        let certificate = client_certificate(stream.get_ref().1);
        Ok((stream, certificate))
    }
}

fn client_certificate(connection: &ServerConnection) -> Option<ClientCertificate> {
    let first = connection.peer_certificates()?.first()?;
    Some(ClientCertificate { fingerprint: Sha256::digest(first).into() })
}

/// The words of an administrator's mistake, such as an address with `http://` in a command.
async fn refuse_plain(wire: &mut Timed) -> io::Result<()> {
    let mut request = [0; PLAIN_BYTES];
    let _ = wire.read(&mut request).await?;
    let problem =
        format!(r#"{{"type":"about:blank","title":"Bad Request","status":400,"detail":"{SPEAKS_TLS}, not http"}}"#);
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n{problem}",
        problem.len()
    );
    wire.write_all(answer.as_bytes()).await?;
    wire.shutdown().await
}
