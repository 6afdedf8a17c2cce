//! The table of options: the parser, the help and the documentation are made from it.

/// One option.
#[derive(Debug)]
pub(crate) struct Opt {
    /// Its place in [`OPTIONS`].
    pub(crate) key: Flag,
    /// Name after one or two dashes.
    pub(crate) name: &'static str,
    /// A second, one-letter name.
    pub(crate) short: Option<&'static str>,
    /// What stands for the value in the help; empty for a switch.
    pub(crate) value: &'static str,
    /// Environment variables read when the option is not given; the first that is set and not empty counts.
    pub(crate) env: &'static [&'static str],
    /// Whether the engine's macro stands there: then a missing value is an empty one, as it is for PHP.
    pub(crate) from_macro: bool,
    /// What it does.
    pub(crate) help: &'static str,
}

macro_rules! options {
    ($( $key:ident $name:literal $short:expr, $value:literal, [$($env:literal),*], $from_macro:literal, $help:expr; )*) => {
        /// Names an option.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Flag { $($key),* }

        /// Every option, in the order of the help.
        pub(crate) static OPTIONS: &[Opt] = &[$(
            Opt { key: Flag::$key, name: $name, short: $short, value: $value, env: &[$($env),*], from_macro: $from_macro, help: $help }
        ),*];
    };
}

options! {
    Type "type" None, "TYPE", ["BELLWIRE_TYPE"], true,
        "what the notification is about: service, message, or anything else for a host; upper or lower case";
    T "t" None, "TYPE", [], true, "the same; --type wins";
    NotificationType "notificationtype" None, "TYPE", ["BELLWIRE_NOTIFICATIONTYPE"], true,
        "the engine's notification type: PROBLEM, RECOVERY, ACKNOWLEDGEMENT, ...";
    HostUuid "hostuuid" None, "NAME", ["BELLWIRE_HOSTUUID"], true,
        "the engine's name of the host (in openITCOCKPIT its UUID); needed except for messages";
    ServiceUuid "serviceuuid" None, "NAME", ["BELLWIRE_SERVICEUUID"], true,
        "the engine's name of the service (in openITCOCKPIT its UUID); needed for services";
    State "state" None, "NUMBER", ["BELLWIRE_STATE"], true,
        "the engine's state number of the host or service; 0 if empty or no number";
    Output "output" None, "TEXT", ["BELLWIRE_OUTPUT"], true, "the plugin's output";
    AckAuthor "ackauthor" None, "TEXT", ["BELLWIRE_ACKAUTHOR", "NAGIOS_NOTIFICATIONAUTHOR"], true,
        "who acknowledged; safer as environment variable than on a command line that a shell sees";
    AckComment "ackcomment" None, "TEXT", ["BELLWIRE_ACKCOMMENT", "NAGIOS_NOTIFICATIONCOMMENT"], true,
        "the comment of the acknowledgement; safer as environment variable than on a command line that a shell sees";
    UserId "user-id" None, "USER", ["BELLWIRE_USER_ID"], true,
        "who receives; empty, 0 or a macro that the engine did not fill in: nobody, nothing is done";
    FromEnv "from-env" None, "", [], false,
        "takes what no option gives from the macros that Nagios (enable_environment_macros=1), Icinga 1 or Checkmk puts into the environment";
    UserFrom "user-from" None, "MACRO,...", ["BELLWIRE_USER_FROM"], false,
        "with --from-env: macros that name who receives, without the engine's prefix; the first that is set counts. Without it _CONTACTOITCUSERID,CONTACTNAME";
    HostName "host-name" None, "TEXT", ["BELLWIRE_HOST_NAME"], true, "the host's name to show; without it the --hostuuid";
    ServiceName "service-name" None, "TEXT", ["BELLWIRE_SERVICE_NAME"], true,
        "the service's name to show; without it the --serviceuuid";
    Title "title" None, "TEXT", ["BELLWIRE_TITLE"], false, "first line of a message; needed with --type message, and only there";
    Body "body" None, "TEXT", ["BELLWIRE_BODY"], false, "text of a message; only with --type message";
    Url "url" None, "URL", ["BELLWIRE_URL"], false, "where a click on the notification leads";
    Ttl "ttl" None, "TIME", ["BELLWIRE_TTL"], false,
        "how long the notification is worth showing, at most 30m; without it the server decides";
    Ingest "ingest" None, "ADDRESS,...", ["BELLWIRE_INGEST"], false,
        "addresses of ingest, tried in turn: http://HOST:PORT, https://HOST or HOST:PORT. Without it http://$OITC_ADDRESS:8083, without that http://127.0.0.1:8083";
    TokenFile "token-file" None, "FILE", ["BELLWIRE_TOKEN_FILE"], false, "file with the token that ingest asks for: the first of the file, which may look like ingest's own";
    CaFile "ca-file" None, "FILE", ["BELLWIRE_CA_FILE"], false,
        "PEM file with the certificates to trust for https, instead of the public ones that are built in";
    ClientCert "client-cert" None, "FILE", ["BELLWIRE_CLIENT_CERT"], false,
        "PEM file with the certificate that shows ingest who sends, and those between; with --client-key";
    ClientKey "client-key" None, "FILE", ["BELLWIRE_CLIENT_KEY"], false, "PEM file with the private key of --client-cert";
    Spool "spool" None, "DIR", ["BELLWIRE_SPOOL"], false,
        "directory that keeps notifications while no ingest takes them; made when it is missing";
    Deadline "deadline" None, "TIME", ["BELLWIRE_DEADLINE"], false,
        "time for all attempts together: 10, 10s, 500ms, 1m; 10s if not given";
    Help "help" Some("h"), "", [], false, "shows this text";
    Version "version" Some("V"), "", [], false, "shows the version";
}

impl Opt {
    /// Finds the option that `name` (without dashes) spells; capitals do not matter.
    pub(crate) fn find(name: &[u8]) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| {
            option.name.as_bytes().eq_ignore_ascii_case(name)
                || option.short.is_some_and(|short| short.as_bytes() == name)
        })
    }

    /// How people are told of it.
    pub(crate) fn spelling(&self) -> String {
        let dashes = if self.name.len() == 1 { "-" } else { "--" };
        let short = self.short.map_or(String::new(), |short| format!("-{short}, "));
        let space = if self.value.is_empty() { "" } else { " " };
        format!("{short}{dashes}{}{space}{}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_places_in_the_table() {
        for (place, option) in OPTIONS.iter().enumerate() {
            assert_eq!(option.key as usize, place, "{}", option.name);
        }
    }

    #[test]
    fn every_value_has_an_environment_variable_of_its_name() {
        for option in OPTIONS.iter().filter(|option| !option.value.is_empty() && option.key != Flag::T) {
            let name = format!("BELLWIRE_{}", option.name.to_uppercase().replace('-', "_"));
            assert_eq!(option.env.first(), Some(&name.as_str()));
        }
    }

    /// A node that shares its environment with the engine's commands must not take their variables for misspelt
    /// settings of its own.
    #[test]
    fn nodes_know_every_variable() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../common/src/settings/sources.rs");
        let source = std::fs::read_to_string(path).unwrap();
        let list = source.split_once("const FOREIGN: &[&str] = &[").unwrap().1.split_once("];").unwrap().0;
        let ours = OPTIONS.iter().flat_map(|option| option.env).filter(|name| name.starts_with("BELLWIRE_"));
        let missing: Vec<_> = ours.filter(|name| !list.contains(&format!("{name:?}"))).collect();
        assert!(missing.is_empty(), "not in FOREIGN of common/src/settings/sources.rs: {missing:?}");
    }
}
