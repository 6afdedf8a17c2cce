//! From an address to a WebSocket, step by step, so that whoever asks can be told which step is broken.

use std::io;
use std::sync::Arc;

use axum::http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::place::Place;

/// What of a refusal's body is shown.
const BODY_CHARS_MAX: usize = 160;

/// A connection, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A WebSocket on a [`Io`].
pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

/// Why there is no WebSocket: the step that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("the name {host} leads nowhere: {reason}")]
    Lookup { host: String, reason: String },
    #[error("cannot be reached: {0}")]
    Connect(String),
    #[error("TLS fails: {0}")]
    Tls(String),
    #[error("refuses with {status}{body}")]
    Refused { status: u16, body: String },
    #[error("is no WebSocket server: {0}")]
    NotWebSocket(String),
    #[error("answers none of the subprotocols: it is no Bellwire, or one of another version")]
    Subprotocol,
    #[error("does not answer in time ({0})")]
    Late(&'static str),
}

/// Whom to trust with `wss://`.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The authorities of a PEM text, or else those of the system; what is wrong with them otherwise.
    pub(crate) fn of(pem: Option<&str>) -> Result<Self, String> {
        let certificates = match pem {
            Some(pem) => {
                let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
                parsed.map_err(|error| format!("no usable certificate: {error}"))?
            }
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(certificates);
        if taken == 0 {
            return Err("no authority to trust: install ca-certificates, or name a CA file".into());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }
}

/// Opens a WebSocket, offering these subprotocols. `trust` is needed for `wss://`.
pub(crate) async fn dial(
    place: &Place,
    subprotocols: &str,
    trust: Option<&Trust>,
    until: Instant,
) -> Result<Socket, DialError> {
    let stream = connect(place, until).await?;
    let stream: Box<dyn Io> = match (place.tls, trust) {
        (false, _) => Box::new(stream),
        (true, None) => return Err(DialError::Tls("nobody is trusted".into())),
        (true, Some(Trust(config))) => {
            let name = ServerName::try_from(place.host.clone()).map_err(|error| DialError::Tls(error.to_string()))?;
            let tls = TlsConnector::from(Arc::clone(config)).connect(name, stream);
            let tls = timeout_at(until, tls).await.map_err(|_| DialError::Late("TLS handshake"))?;
            Box::new(tls.map_err(|error| DialError::Tls(error.to_string()))?)
        }
    };
    let mut request = place.to_string().into_client_request().map_err(refusal)?;
    let offered = HeaderValue::from_str(subprotocols)
        .map_err(|_| DialError::NotWebSocket("the key has characters that no handshake takes".into()))?;
    request.headers_mut().insert("sec-websocket-protocol", offered);
    let handshake = timeout_at(until, client_async(request, stream)).await;
    let (socket, _) = handshake.map_err(|_| DialError::Late("WebSocket handshake"))?.map_err(refusal)?;
    Ok(socket)
}

async fn connect(place: &Place, until: Instant) -> Result<TcpStream, DialError> {
    let lookup = |reason: String| DialError::Lookup { host: place.host.clone(), reason };
    let resolved = timeout_at(until, lookup_host((place.host.as_str(), place.port))).await;
    let resolved = resolved.map_err(|_| DialError::Late("name service"))?.map_err(|error| lookup(error.to_string()))?;
    let mut failure = None;
    for address in resolved {
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // What it would save in packets, it would cost in what is measured.
                stream.set_nodelay(true).map_err(|error| DialError::Connect(error.to_string()))?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Some(error),
            Err(_) => return Err(DialError::Late("connection")),
        }
    }
    Err(failure.map_or_else(|| lookup("it has no address".into()), |error| DialError::Connect(plain(&error))))
}

/// Without `(os error 111)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn refusal(error: Error) -> DialError {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let text: String = String::from_utf8_lossy(body).chars().take(BODY_CHARS_MAX).collect();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            // The page of a proxy tells less than its status.
            let is_words = !text.is_empty() && !text.starts_with('<');
            let body = if is_words { format!(" ({text})") } else { String::new() };
            DialError::Refused { status: response.status().as_u16(), body }
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => DialError::Subprotocol,
        Error::Io(error) => DialError::NotWebSocket(plain(&error)),
        other => DialError::NotWebSocket(other.to_string()),
    }
}
