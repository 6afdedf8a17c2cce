//! Where it listens, and with what certificate.

use super::Default::{Text, Unset};
use super::Role::{Gateway, Ingest, Standalone};
use super::defaults::{ADMIN, INGEST, INGEST_ADMIN, TABS};
use super::{Setting, Shown, all};

pub(super) const SETTINGS: [Setting; 6] = [
    Setting {
        name: "listen",
        value: "IP:PORT",
        defaults: &[(Standalone, Text(TABS.text)), (Gateway, Text(TABS.text)), (Ingest, Text(INGEST.text))],
        shown: Shown::Plain,
        help: "Where browsers (gateway, standalone) and notifications (ingest, standalone) come in",
        limits: "An IP address and a port; [::1]:8083 for IPv6; port 0 takes a free one and logs it. A socket with this address that systemd hands over (LISTEN_FDS) is used instead of a new one; so for the other listeners.",
        cost: "On an address that others reach, everybody there can try keys. Without TLS they can read along: set tls-cert-file, or put a proxy with TLS in front.",
        change: "When the proxy or the browsers are on other machines. Off loopback a shared key (gateway, standalone) and tokens (ingest, standalone) are required.",
    },
    Setting {
        name: "admin-listen",
        value: "IP:PORT",
        defaults: &[(Standalone, Text(ADMIN.text)), (Gateway, Text(ADMIN.text)), (Ingest, Text(INGEST_ADMIN.text))],
        shown: Shown::Plain,
        help: "Where /metrics, /healthz and /readyz are answered, and bellwire trace on this machine",
        limits: "An IP address and a port, not that of another listener.",
        cost: "Whoever reaches it reads the metrics: counts, no users, no hosts, no texts. Whoever is on this machine reads who got which notification when (/trace: ids, no texts); others are refused there, but not those for whom a proxy on this machine passes on /trace: let it pass on /metrics, /healthz and /readyz only.",
        change: "When Prometheus or the probes are on other machines.",
    },
    Setting {
        name: "ingest-listen",
        value: "IP:PORT",
        defaults: &[(Standalone, Unset("notifications come in where browsers do"))],
        shown: Shown::Plain,
        help: "A listener of its own for notifications",
        limits: "An IP address and a port, not that of another listener.",
        cost: "One more port.",
        change: "When browsers come from the network, but notifications from this machine only: listen=0.0.0.0:8083 with ingest-listen=127.0.0.1:8084.",
    },
    Setting {
        name: "tls-cert-file",
        value: "FILE",
        defaults: &all(Unset("no TLS: a proxy in front has it, or nobody else reaches the listeners")),
        shown: Shown::Plain,
        help: "PEM file with the certificate for listen and ingest-listen, and those of the authorities between",
        limits: "With tls-key-file. Read again when it changes; what cannot be used then is logged, and the old one stays.",
        cost: "Some 8 KB more for each open connection (measured with 3,000 idle tabs), up to 40 KB for one that is slow; some hundred microseconds for each handshake, a millisecond or two with an RSA key.",
        change: "When there is no proxy with TLS in front, or the way from the proxy is not safe either.",
    },
    Setting {
        name: "tls-key-file",
        value: "FILE",
        defaults: &all(Unset("see tls-cert-file")),
        shown: Shown::Plain,
        help: "PEM file with the private key of tls-cert-file",
        limits: "PKCS #8, PKCS #1 or SEC 1, not encrypted; RSA of at least 2048 bits, ECDSA (P-256, P-384) or Ed25519. Read again when it changes.",
        cost: "Whoever reads it can pose as this server.",
        change: "With tls-cert-file.",
    },
    Setting {
        name: "admin-tls",
        value: "WORD",
        defaults: &all(Text("off")),
        shown: Shown::Plain,
        help: "Whether admin-listen has TLS too, with the same certificate",
        limits: "on or off; on needs tls-cert-file.",
        cost: "Prometheus and the probes must speak https.",
        change: "When the metrics cross a network that is not trusted.",
    },
];
