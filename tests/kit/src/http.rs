//! A small HTTP/1.1 client: one request per connection, whole answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::certs::{self, Connection};

/// No request of a test takes longer on a busy machine; WebDriver's start of a browser is the slowest.
const DEADLINE: Duration = Duration::from_secs(90);

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, what is not UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// `GET path`.
pub async fn get(address: SocketAddr, path: &str) -> Result<Response> {
    request(address, "GET", path, &[], b"").await
}

/// `POST path` with a JSON body.
pub async fn post(address: SocketAddr, path: &str, body: &Value) -> Result<Response> {
    request(address, "POST", path, &[("content-type", "application/json")], body.to_string().as_bytes()).await
}

/// Any request. `host` and `content-length` are added unless given.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    request_over(None, address, method, path, headers, body).await
}

/// The same with TLS, if there is a client for it.
pub async fn request_over(
    tls: Option<&Arc<ClientConfig>>,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    timeout(DEADLINE, exchange(tls, address, method, path, headers, body))
        .await
        .with_context(|| format!("no answer to {method} {path} within {DEADLINE:?}"))?
        .with_context(|| format!("{method} http://{address}{path}"))
}

/// The head of an answer, with what comes behind it: for requests that are written by hand, and answers that may not end.
pub struct Opened {
    /// The status code.
    pub status: u16,
    /// The whole head, with its empty line.
    pub head: String,
    /// The connection, as long as this is held.
    pub stream: BufReader<Connection>,
}

impl Opened {
    /// Everything that comes behind the head until the connection ends.
    pub async fn rest(mut self) -> Result<String> {
        let mut rest = String::new();
        timeout(DEADLINE, self.stream.read_to_string(&mut rest)).await.context("the answer does not end")??;
        Ok(rest)
    }
}

/// Writes a request as it stands, and reads the head of what is answered.
pub async fn open(address: SocketAddr, request: &str) -> Result<Opened> {
    let opened = async {
        let mut stream = BufReader::new(certs::connect(address, None).await?);
        stream.write_all(request.as_bytes()).await?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(stream.read_line(&mut head).await? > 0, "the connection ended within the head {head:?}");
        }
        let status = status(&head)?;
        Ok(Opened { status, head, stream })
    };
    timeout(DEADLINE, opened).await.with_context(|| format!("no answer within {DEADLINE:?} to {request}"))?
}

fn status(head: &str) -> Result<u16> {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(|| format!("bad answer {head:?}"))
}

async fn exchange(
    tls: Option<&Arc<ClientConfig>>,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !given("host") {
        head += &format!("host: {address}\r\n");
    }
    if !given("content-length") && (!body.is_empty() || method == "POST") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let mut stream = certs::connect(address, tls).await?;
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    read_response(&mut BufReader::new(stream)).await
}

async fn read_response(stream: &mut BufReader<Connection>) -> Result<Response> {
    let status = status(&line(stream).await?)?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').with_context(|| format!("bad header {line:?}"))?;
        headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if let Some(length) = response.header("content-length") {
        response.body = vec![0; length.parse()?];
        stream.read_exact(&mut response.body).await?;
    } else if response.header("transfer-encoding") == Some("chunked") {
        response.body = read_chunks(stream).await?;
    } else {
        stream.read_to_end(&mut response.body).await?;
    }
    Ok(response)
}

async fn read_chunks(stream: &mut BufReader<Connection>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(line(stream).await?.split(';').next().unwrap_or_default(), 16)?;
        let begin = body.len();
        body.resize(begin + size, 0);
        stream.read_exact(&mut body[begin..]).await?;
        ensure!(line(stream).await?.is_empty(), "a chunk is longer than it says");
        if size == 0 {
            return Ok(body);
        }
    }
}

async fn line(stream: &mut BufReader<Connection>) -> Result<String> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        bail!("the connection ended before the answer");
    }
    Ok(String::from_utf8(line)?.trim_end().to_owned())
}
