//! The table: every setting there is.

use std::fmt;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Ingest, gateway and an embedded log in one process.
    Standalone,
    /// Serves browser tabs from RabbitMQ.
    Gateway,
    /// Takes notifications into RabbitMQ.
    Ingest,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Standalone, Self::Gateway, Self::Ingest];

    /// Name of the subcommand, and the metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Gateway => "gateway",
            Self::Ingest => "ingest",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a role takes when nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// This text, as if it had been given.
    Text(&'static str),
    /// Nothing; the words say what that means.
    Unset(&'static str),
    /// It must be given.
    Required,
}

/// How a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it is.
    Plain,
    /// Without the passwords in its addresses.
    WithoutPasswords,
    /// Only that it is set. There is no flag: everybody on the machine can read command lines.
    Secret,
}

/// One setting: flag `--NAME`, environment `BELLWIRE_NAME`, TOML key `NAME`.
#[derive(Debug)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// What its value looks like.
    pub value: &'static str,
    /// The roles that have it, with their defaults.
    pub defaults: &'static [(Role, Default)],
    /// How it may be shown.
    pub shown: Shown,
    /// What it is, in one line.
    pub help: &'static str,
    /// Unit and limits.
    pub limits: &'static str,
    /// The worst that it can cost.
    pub cost: &'static str,
    /// When to change it.
    pub change: &'static str,
}

impl Setting {
    /// The role's default; none when the role does not have the setting.
    #[must_use]
    pub fn default(&self, role: Role) -> Option<Default> {
        self.defaults.iter().find(|(r, _)| *r == role).map(|(_, default)| *default)
    }
}

use self::Default::{Required, Text, Unset};
use self::Role::{Gateway, Ingest, Standalone};

const fn all(default: Default) -> [(Role, Default); 3] {
    [(Standalone, default), (Gateway, default), (Ingest, default)]
}

const fn tabs(default: Default) -> [(Role, Default); 2] {
    [(Standalone, default), (Gateway, default)]
}

const fn intake(default: Default) -> [(Role, Default); 2] {
    [(Standalone, default), (Ingest, default)]
}

/// Every setting, in the order in which they are shown.
pub static TABLE: &[Setting] = &[
    Setting {
        name: "listen",
        value: "IP:PORT",
        defaults: &[
            (Standalone, Text("127.0.0.1:8083")),
            (Gateway, Text("127.0.0.1:8083")),
            (Ingest, Text("127.0.0.1:8084")),
        ],
        shown: Shown::Plain,
        help: "Where browsers (gateway, standalone) and notifications (ingest, standalone) come in",
        limits: "An IP address and a port; [::1]:8083 for IPv6; port 0 takes a free one and logs it. A socket with this address that systemd hands over (LISTEN_FDS) is used instead of a new one; so for the other listeners.",
        cost: "On an address that others reach, everybody there can try keys. Without TLS they can read along: put a proxy with TLS in front.",
        change: "When the proxy or the browsers are on other machines. Off loopback a shared key (gateway, standalone) and tokens (ingest, standalone) are required.",
    },
    Setting {
        name: "admin-listen",
        value: "IP:PORT",
        defaults: &[
            (Standalone, Text("127.0.0.1:9083")),
            (Gateway, Text("127.0.0.1:9083")),
            (Ingest, Text("127.0.0.1:9084")),
        ],
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
        name: "log",
        value: "ADDRESS",
        defaults: &[
            (
                Standalone,
                Unset("embedded: in $STATE_DIRECTORY, else $XDG_STATE_HOME/bellwire, else ~/.local/state/bellwire"),
            ),
            (Gateway, Required),
            (Ingest, Required),
        ],
        shown: Shown::WithoutPasswords,
        help: "The log that carries everything: embedded:DIR, memory:, or amqp://... (a comma list of RabbitMQ nodes)",
        limits: "embedded:DIR and memory: for standalone only. amqp://USER:PASSWORD@HOST:PORT/VHOST, amqps:// for TLS, at most 16 nodes; a node without scheme, user or virtual host takes those of the first that has them.",
        cost: "embedded: some hundred MB of disk. memory: everything accepted and not yet shown is lost when the process ends. amqp: one connection for writing and one for reading, for each process.",
        change: "When there is more than one node: gateway and ingest need the same RabbitMQ.",
    },
    Setting {
        name: "amqp-user-file",
        value: "FILE",
        defaults: &all(Unset("the user in the address, else guest")),
        shown: Shown::Plain,
        help: "File with RabbitMQ's user, instead of the one in the address",
        limits: "One line, at most 1024 bytes.",
        cost: "None.",
        change: "When a secret store or Kubernetes mounts the user as a file.",
    },
    Setting {
        name: "amqp-password-file",
        value: "FILE",
        defaults: &all(Unset("the password in the address, else guest")),
        shown: Shown::Plain,
        help: "File with RabbitMQ's password, instead of the one in the address",
        limits: "One line, at most 1024 bytes.",
        cost: "None.",
        change: "Always, unless RabbitMQ is on this machine: a password in --log can be read in ps.",
    },
    Setting {
        name: "amqp-ca-file",
        value: "FILE",
        defaults: &all(Unset("the authorities that the system trusts")),
        shown: Shown::Plain,
        help: "PEM file with authorities that may sign RabbitMQ's certificate, beside the system's",
        limits: "Certificates in PEM form; only with amqps://.",
        cost: "Whoever has such an authority's key can pose as RabbitMQ.",
        change: "When RabbitMQ's certificate is signed by an authority of your own.",
    },
    Setting {
        name: "shards",
        value: "NUMBER",
        defaults: &all(Text("4")),
        shown: Shown::Plain,
        help: "Number of logs that users are spread over",
        limits: "1 to 64. The same on every node: nodes with different numbers use different streams and do not meet.",
        cost: "Each shard is one stream and one channel for every gateway; too few limit the rate of one stream, too many cost memory in RabbitMQ.",
        change: "When one stream's rate is the limit (tens of thousands of notifications per second). Changing it starts new, empty logs: what is not shown yet stays behind in the old ones.",
    },
    Setting {
        name: "ttl",
        value: "DURATION",
        defaults: &all(Text("600s")),
        shown: Shown::Plain,
        help: "How long a notification is worth showing, and how long a closed tab may come back for what it missed",
        limits: "1 s to 30 min; 600, 600s, 10m. The same on every node.",
        cost: "A gateway reads back this time and 5 minutes at its start, and holds it in memory.",
        change: "Shorter when old news disturbs more than it helps; longer when laptops sleep through meetings.",
    },
    Setting {
        name: "shared-key",
        value: "KEY",
        defaults: &tabs(Unset("standalone on loopback makes one for trying out; else required off loopback")),
        shown: Shown::Secret,
        help: "The key with which openITCOCKPIT's pages prove that they may connect",
        limits: "At most 1024 visible ASCII characters; openITCOCKPIT makes 160. Environment or file only: a flag could be read in ps.",
        cost: "Whoever has it can connect as any user.",
        change: "Set it to the value of SUDO_SERVER.API_KEY in openITCOCKPIT's system settings.",
    },
    Setting {
        name: "shared-key-file",
        value: "FILE",
        defaults: &tabs(Unset("see shared-key")),
        shown: Shown::Plain,
        help: "File with the shared key",
        limits: "One line, as shared-key. Give either of the two.",
        cost: "As shared-key.",
        change: "When a secret store or Kubernetes mounts the key as a file.",
    },
    Setting {
        name: "max-sessions",
        value: "NUMBER",
        defaults: &tabs(Text("100000")),
        shown: Shown::Plain,
        help: "Most tabs that are connected to a gateway at a time",
        limits: "1 to 1000000; never more than seven eighths of the system's limit of open files.",
        cost: "6 KB each (14 KB once it had a burst), and what the kernel holds for a connection. What is more gets 503 and comes back by itself; a tab of openITCOCKPIT 5.3 does not, until it is loaded again.",
        change: "Lower where memory is short: a tab that is sent to another gateway loses nothing.",
    },
    Setting {
        name: "max-sessions-per-user",
        value: "NUMBER",
        defaults: &tabs(Text("100")),
        shown: Shown::Plain,
        help: "Most tabs of one user on a gateway",
        limits: "1 to 1000000.",
        cost: "Each browser is sent each of the user's notifications. What is more is refused: a V1 tab is then silent until it is loaded again.",
        change: "When many screens share one user.",
    },
    Setting {
        name: "max-sessions-per-address",
        value: "NUMBER",
        defaults: &tabs(Text("5000")),
        shown: Shown::Plain,
        help: "Most tabs on a gateway from one address, or from one /64 network of IPv6",
        limits: "1 to 1000000. Behind a proxy of trusted-proxies it is the address that the proxy names; where that names none there is no such limit (nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for).",
        cost: "Too low, and an office behind one address is locked out, as with max-sessions-per-user.",
        change: "Higher when the tabs come through a proxy that is not in trusted-proxies; better: name the proxy there.",
    },
    Setting {
        name: "max-handshakes-per-second",
        value: "NUMBER",
        defaults: &tabs(Text("5000")),
        shown: Shown::Plain,
        help: "How many tabs a gateway lets in each second; more are held up, not refused",
        limits: "500 to 1000000. A tenth of it passes at once after a rest.",
        cost: "After the loss of a gateway its tabs are back later: 10,000 of them in 2 to 3 s.",
        change: "Lower when what stands behind the handshake must be spared.",
    },
    Setting {
        name: "trusted-proxies",
        value: "ADDRESSES",
        defaults: &tabs(Text("127.0.0.0/8,::1")),
        shown: Shown::Plain,
        help: "Proxies whose X-Forwarded-For is believed",
        limits: "A comma list of at most 64 addresses or networks such as 10.0.0.0/8, or none.",
        cost: "Whoever connects from such an address can pose as any other address.",
        change: "When the proxy in front is not on this machine.",
    },
    Setting {
        name: "digests",
        value: "PROTOCOLS",
        defaults: &tabs(Text("native")),
        shown: Shown::Plain,
        help: "Whose tabs show a storm as one digest instead of each notification",
        limits: "A comma list of native, v1 and v2, or none. A storm is what a user gets beyond 5 notifications in 30 s. Give all gateways the same: each decides for its own tabs.",
        cost: "V1 and V2 tabs show a digest only, without a list to open: at most five a minute, the first after 2 s.",
        change: "When people on openITCOCKPIT's own front end are flooded; none for a front end of your own that groups by itself.",
    },
    Setting {
        name: "ingest-tokens-file",
        value: "FILE",
        defaults: &intake(Unset("no tokens: notifications are taken on loopback only")),
        shown: Shown::Plain,
        help: "File with the bearer tokens that may send notifications",
        limits: "1 to 256 tokens of at most 512 visible ASCII characters, one a line, or NAME:TOKEN; lines that begin with # are skipped.",
        cost: "Whoever has a token can send any user any notification.",
        change: "When notifications come from other machines. Several tokens let each sender have its own, and be replaced one by one.",
    },
    Setting {
        name: "log-level",
        value: "LEVEL",
        defaults: &all(Text("info")),
        shown: Shown::Plain,
        help: "Which messages are written to stderr",
        limits: "error, warn, info, debug, trace, off; or a list with parts of the program: info,bellwire_gateway=debug.",
        cost: "debug writes several lines for each connection, trace for each frame.",
        change: "While looking for a fault.",
    },
    Setting {
        name: "log-format",
        value: "FORMAT",
        defaults: &all(Text("text")),
        shown: Shown::Plain,
        help: "How messages are written",
        limits: "text or json.",
        cost: "None.",
        change: "json when a program collects them.",
    },
    Setting {
        name: "drain-seconds",
        value: "SECONDS",
        defaults: &[(Standalone, Text("5")), (Gateway, Text("30")), (Ingest, Text("10"))],
        shown: Shown::Plain,
        help: "Over how long tabs are handed to other nodes, and requests may end, after SIGTERM",
        limits: "Whole seconds, 0 to 3600. It ends earlier when nothing is left.",
        cost: "So long may a stop or an update take. The supervisor must wait longer (systemd: TimeoutStopSec, Kubernetes: terminationGracePeriodSeconds).",
        change: "Longer with many tabs on a gateway, so that the other gateways are not hit by all of them at once.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_texts_complete() {
        let mut names: Vec<_> = TABLE.iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        for setting in TABLE {
            assert!(setting.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", setting.name);
            assert!(!setting.help.ends_with('.'), "{}", setting.name);
            for text in [setting.limits, setting.cost, setting.change] {
                assert!(text.ends_with('.'), "{}: {text}", setting.name);
            }
        }
    }

    #[test]
    fn the_names_that_stay_are_there() {
        let names: Vec<_> = TABLE.iter().map(|s| s.name).collect();
        let stay = "listen admin-listen ingest-listen log amqp-user-file amqp-password-file amqp-ca-file shards ttl \
                    shared-key shared-key-file ingest-tokens-file log-level log-format drain-seconds";
        for name in stay.split_whitespace() {
            assert!(names.contains(&name), "{name}");
        }
    }
}
