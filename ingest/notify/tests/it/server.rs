//! A scripted HTTP server on a real socket.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::testdata;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: Value,
    /// Counts the connections.
    pub(crate) connection: usize,
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// Status, content type and body.
    Http(u16, &'static str, String),
    /// Nothing more is sent until the client gives up.
    Silence,
    /// The head and half of the body, then nothing until the client gives up.
    Half,
    /// The connection ends.
    Close,
}

pub(crate) struct Server {
    /// As `host:port`.
    pub(crate) address: String,
    requests: Receiver<Received>,
}

type Script = Box<dyn FnMut(&Received) -> Reply + Send>;

impl Server {
    pub(crate) fn start(script: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        Self::serve(Box::new(script), |stream| Box::new(stream))
    }

    /// The same behind TLS, with the certificate in `testdata/tls` for `localhost` and 127.0.0.1.
    pub(crate) fn start_tls(script: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let certificates: Vec<_> =
            CertificateDer::pem_file_iter(testdata("tls/server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(testdata("tls/server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(certificates, key).unwrap());
        Self::serve(Box::new(script), move |stream| {
            Box::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream))
        })
    }

    /// Takes every notification.
    pub(crate) fn accepting() -> Self {
        Self::start(accept)
    }

    fn serve(script: Script, wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = channel();
        let script = Arc::new(Mutex::new(script));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (script, sender) = (script.clone(), sender.clone());
                let stream = wrap(stream.unwrap());
                thread::spawn(move || converse(stream, connection, &script, &sender));
            }
        });
        Self { address, requests }
    }

    /// What has come so far. A client that has ended has been heard: it waits for its answers.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.requests.try_iter().collect()
    }
}

pub(crate) fn accept(request: &Received) -> Reply {
    result(202, request, "accepted")
}

/// The result of ingest for this one notification.
pub(crate) fn result(status: u16, request: &Received, result: &str) -> Reply {
    let body = json!({ "results": [{ "id": request.body["id"], "status": result }] });
    if status < 400 { Reply::Http(status, "application/json", body.to_string()) } else { problem(status, &body) }
}

/// A problem as ingest words it: it says the status of its answer.
pub(crate) fn problem(status: u16, body: &Value) -> Reply {
    let mut body = body.clone();
    body["status"] = status.into();
    Reply::Http(status, "application/problem+json", body.to_string())
}

/// An address where nobody listens.
pub(crate) fn refusing() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn converse(mut stream: Box<dyn Stream>, connection: usize, script: &Mutex<Script>, sender: &Sender<Received>) {
    while let Ok(Some((head, body))) = read_request(&mut stream) {
        let received = Received { head, body: serde_json::from_slice(&body).unwrap(), connection };
        let reply = (script.lock().unwrap())(&received);
        let _ = sender.send(received);
        let ended = match reply {
            Reply::Http(status, content_type, body) => {
                write!(stream, "{}{body}", head_of(status, content_type, body.len()))
            }
            Reply::Half => {
                write!(stream, "{}{{\"res", head_of(202, "application/json", 100)).and(wait_for_end(&mut stream))
            }
            Reply::Silence => wait_for_end(&mut stream),
            Reply::Close => return,
        };
        if ended.and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn head_of(status: u16, content_type: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nlocation: /\r\n\r\n")
}

fn wait_for_end(stream: &mut dyn Stream) -> io::Result<()> {
    stream.flush()?;
    while stream.read(&mut [0; 1024])? > 0 {}
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn read_request(stream: &mut dyn Stream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if bytes.len() == end + 4 + length.parse::<usize>().unwrap() {
                return Ok(Some((head, bytes.split_off(end + 4))));
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}
