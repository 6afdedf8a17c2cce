//! Who may send, and to whom.

use super::Default::{Text, Unset};
use super::{Setting, Shown, intake};

pub(super) const SETTINGS: [Setting; 4] = [
    Setting {
        name: "ingest-tokens-file",
        value: "FILE",
        defaults: &intake(Unset("no tokens: notifications are taken on loopback only")),
        shown: Shown::Plain,
        help: "File with the bearer tokens that may send notifications",
        limits: "1 to 256 tokens of at most 512 visible ASCII characters, one a line, as TOKEN or NAME:TOKEN, and behind it what it may: users=7,8 and paths=/message,/v1/alertmanager (docs/ingest.md). Lines that begin with # are skipped. Read again when it changes.",
        cost: "Whoever has a token without users= can send any user any notification.",
        change: "When notifications come from other machines. Several tokens let each sender have its own, and be replaced one by one.",
    },
    Setting {
        name: "ingest-client-ca-file",
        value: "FILE",
        defaults: &intake(Unset("no certificate is asked for")),
        shown: Shown::Plain,
        help: "PEM file with authorities; who sends notifications needs a certificate that one of them has signed",
        limits: "Certificates in PEM form; needs tls-cert-file. Beside tokens if there are any. Read again when it changes.",
        cost: "Engines need a certificate each, and new ones before they expire.",
        change: "When tokens alone are not enough.",
    },
    Setting {
        name: "user-check",
        value: "WORD",
        defaults: &intake(Unset("exists where mysql-file is set, else off")),
        shown: Shown::Plain,
        help: "Whether a notification's user must be known to openITCOCKPIT: off, exists or push",
        limits: "exists: a row in users. push: and a contact of that user with push notifications for the kind of object. While the database does not answer, everything is taken. Needs mysql-file.",
        cost: "One lookup for each user in a minute. A user that was made less than 10 s ago may still be refused.",
        change: "push when commands are linked to contacts that have switched push notifications off.",
    },
    Setting {
        name: "webhook-user-label",
        value: "LABEL",
        defaults: &intake(Text("bellwire_user")),
        shown: Shown::Plain,
        help: "Label of an alert that names its users, in webhooks of Alertmanager and Grafana",
        limits: "A label's name; its value is a user, or several with commas between them. The address /v1/alertmanager/USER names the user itself.",
        cost: "None.",
        change: "When your alerts have such a label already.",
    },
];
