//! What a sender shows: a token, or a certificate with its key. Errors name option and file, and quote no secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::Error;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

/// Largest file of tokens, in bytes: all that an ingest takes, with names and comments.
const TOKEN_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Largest file of certificates or a key, in bytes: twice a whole system's.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// The first token of a file, by the rules of ingest's own: a standalone's command may be given the same file.
pub fn token(path: &Path) -> Result<String, String> {
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
        Ok(token) if !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) => Ok(token.to_owned()),
        _ => Err(wrong("its first token must consist of visible ASCII characters")),
    }
}

/// The certificate that says who sends, with its key; none without the two. Its authority is not looked at.
pub fn certificate(cert: Option<&Path>, key: Option<&Path>) -> Result<Option<ClientCert>, String> {
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err("--client-cert needs --client-key".to_owned()),
        (None, Some(_)) => return Err("--client-key needs --client-cert".to_owned()),
    };
    let chain = certificates("--client-cert", cert)?;
    let wrong = |reason: &str| format!("--client-key {}: {reason}", key.display());
    let pem = read_bounded(key, PEM_BYTES_MAX).map_err(|error| wrong(&error.to_string()))?;
    // What is said of a bad line may quote it.
    let unusable = || wrong("holds no private key in PEM form that can be used");
    let taken = PrivateKey::from_pem(&pem).map_err(|_| unusable())?;
    // The client panics over a pair that is none.
    let shown = chain.iter().map(|certificate| CertificateDer::from(certificate.der()).into_owned()).collect();
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable())?;
    match CertifiedKey::from_der(shown, der, &default_provider()) {
        Ok(_) => Ok(Some(ClientCert::new_with_certs(&chain, taken))),
        Err(Error::InconsistentKeys(_)) => Err(wrong("is not the key of the first certificate of --client-cert")),
        Err(Error::InvalidCertificate(error)) => Err(format!("--client-cert {}: {error}", cert.display())),
        Err(_) => Err(unusable()),
    }
}

/// At least one certificate, of a file that this option names.
pub(crate) fn certificates(option: &str, path: &Path) -> Result<Vec<Certificate<'static>>, String> {
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

/// Reads a whole file that must not be larger than `limit` bytes. `bellwire_common` has the same, and this small program does not
/// depend on it.
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
            token(&path)
        };
        assert_eq!(read(b" secret\n"), Ok("secret".into()));
        let server = b"# pollers\r\n\n  poller-1: f1rst\r\nplain-token\nInjected: 1\n";
        assert_eq!(read(server), Ok("f1rst".into()));
        assert_eq!(read(b"name:a:b"), Ok("a:b".into()));
        assert_eq!(read(b"name: s users=7,a:b\tpaths=/message"), Ok("s".into()));
        assert_eq!(read(b"s users=a:b"), Ok("s".into()));
        for bad in
            [&b""[..], b"\n", b"# none\n", b"name:", b"name: ", b"two words", b"x\rInjected", b"\xff", &[b'x'; 300_000]]
        {
            let error = read(bad).unwrap_err();
            assert!(error.starts_with("--token-file /"), "{error}");
            assert!(!error.contains("words") && !error.contains("Injected"), "{error}");
        }
        assert!(token(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        assert!(certificates("--ca-file", &path).unwrap_err().ends_with("holds no certificate in PEM form"));
    }

    /// The client once panicked over such a pair.
    #[test]
    fn a_key_must_be_the_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let [one, other] = ["one", "other"].map(|name| rcgen::generate_simple_self_signed(vec![name.into()]).unwrap());
        let cert = write("cert.pem", &one.cert.pem());
        let [key, wrong] =
            [("key.pem", &one), ("wrong.pem", &other)].map(|(n, c)| write(n, &c.signing_key.serialize_pem()));
        assert!(certificate(Some(&cert), Some(&key)).unwrap().is_some() && certificate(None, None).unwrap().is_none());
        for (cert, key, word) in [
            (Some(&cert), Some(&wrong), "is not the key of"),
            (Some(&cert), Some(&cert), "holds no private key"),
            (Some(&key), Some(&key), "holds no certificate"),
            (Some(&cert), None, "needs --client-key"),
            (None, Some(&key), "needs --client-cert"),
        ] {
            let error = certificate(cert.map(|path| &**path), key.map(|path| &**path)).err().unwrap();
            assert!(error.contains(word), "{error}");
        }
    }
}
