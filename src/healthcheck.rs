//! `bellwire healthcheck`: asks the node of this machine, or container, whether it is alive.

use std::time::Duration;

use clap::Command;

use bellwire_common::settings::{self, Invalid, Role, Sources, add_flags};

use crate::admin::Admin;
use crate::place::reachable;

/// Less than what asks takes for its own patience (Docker: 30 s, our image: 5 s).
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

const EXAMPLES: &str = "\
With the same flags, environment and file as the node itself; only admin-listen and admin-tls are looked at:
  bellwire healthcheck gateway --config /etc/bellwire/bellwire.toml

In a container, which has no other program that could ask:
  HEALTHCHECK CMD [\"/usr/bin/bellwire\", \"healthcheck\"]

It asks /healthz: the process lives and answers. Whether it should be given work is another question (/readyz).

Exit codes: 0 it lives, 1 it does not answer, or the settings do not say where to ask, 64 wrong call.";

/// The command, for the help and the parser.
pub(crate) fn command(name: &'static str) -> Command {
    let command = Command::new(name)
        .about("Asks the node of this machine whether it is alive: a health check for containers")
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommands(Role::ALL.map(|role| {
            let about = format!("Asks bellwire {role}");
            add_flags(Command::new(role.name()).about(about).after_help(EXAMPLES), role)
        }));
    add_flags(command, Role::Standalone)
}

/// One line: the node lives, or else why nobody knows.
pub(crate) fn run(role: Role, sources: &Sources<'_>) -> Result<String, String> {
    let admin = settings::admin(role, sources).map_err(|invalid| in_one_line(&invalid))?;
    let address = reachable(admin.listen);
    let node = Admin::new(address, ANSWER_WITHIN, ANSWER_BYTES_MAX).with_tls(admin.tls);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start threads: {error}"))?;
    let answer = runtime.block_on(node.get("/healthz"));
    runtime.shutdown_background();
    match answer {
        Ok(answer) if answer.status == 200 => Ok(format!("alive: {role} at {address}")),
        Ok(answer) => Err(format!("what answers at {address} is no node of Bellwire (status {})", answer.status)),
        Err(error) => Err(format!("{role} does not answer at {address}: {error}")),
    }
}

fn in_one_line(invalid: &Invalid) -> String {
    let problems: Vec<_> = invalid.0.iter().map(ToString::to_string).collect();
    format!("these settings do not say where to ask: {}", problems.join("; ")).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{self, Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::path::Path;

    use super::*;

    fn asked(role: Role, words: &str, env: &[(&str, &str)], file: &'static str) -> Result<String, String> {
        let flags = add_flags(Command::new("x"), role).get_matches_from(words.split_whitespace());
        let env: BTreeMap<_, _> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let read = |path: &Path| match path.to_str() {
            Some("/settings") => Ok(file.to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        run(role, &Sources { flags: &flags, env: &env, read: &read })
    }

    /// A server that answers one request with this status line, and where it listens.
    fn server(status: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, mut head) = (listener.accept().unwrap().0, Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            assert!(head.starts_with(b"GET /healthz "), "{}", String::from_utf8_lossy(&head));
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        });
        address
    }

    #[test]
    fn a_node_that_listens_everywhere_is_asked_on_loopback() {
        let address = server("200 OK");
        let everywhere = format!("0.0.0.0:{}", address.port());
        let told = asked(Role::Gateway, "x", &[("BELLWIRE_ADMIN_LISTEN", &everywhere)], "");
        assert_eq!(told, Ok(format!("alive: gateway at {address}")));
    }

    /// The node has read them: a probe would only take one more chance to fail.
    #[test]
    fn other_settings_and_their_files_are_not_looked_at() {
        let listen = server("200 OK").to_string();
        let file = "log = \"nonsense\"\nshared-key-file = \"/gone\"\n";
        let told = asked(Role::Ingest, "x --config /settings", &[("BELLWIRE_ADMIN_LISTEN", &listen)], file);
        assert_eq!(told, Ok(format!("alive: ingest at {listen}")));
    }

    #[test]
    fn what_is_no_node_is_not_alive() {
        let listen = server("404 Not Found").to_string();
        let told = asked(Role::Standalone, "x", &[("BELLWIRE_ADMIN_LISTEN", &listen)], "").unwrap_err();
        assert!(told.contains("404") && told.contains(&listen), "{told}");
    }

    #[test]
    fn each_role_is_asked_where_it_listens_by_default() {
        for (role, port) in [(Role::Standalone, 9083), (Role::Gateway, 9083), (Role::Ingest, 9084)] {
            let flags = add_flags(Command::new("x"), role).get_matches_from(["x"]);
            let (env, read) = (BTreeMap::new(), |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound)));
            let admin = settings::admin(role, &Sources { flags: &flags, env: &env, read: &read }).unwrap();
            assert_eq!(admin.listen, SocketAddr::from(([127, 0, 0, 1], port)), "{role}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_the_setting() {
        for (words, env, expected) in [
            ("x --admin-listen 127.0.0.1:0", &[][..], "admin-listen (flag --admin-listen): port 0 is any"),
            ("x --config /nowhere", &[][..], "cannot read /nowhere"),
            ("x", &[("BELLWIRE_ADMIN_LISTEN", "here")][..], "admin-listen (environment BELLWIRE_ADMIN_LISTEN)"),
            ("x", &[("BELLWIRE_ADMIN_TLS", "maybe")][..], "admin-tls (environment BELLWIRE_ADMIN_TLS)"),
        ] {
            let told = asked(Role::Standalone, words, env, "").unwrap_err();
            assert!(told.contains(expected) && !told.contains('\n'), "{words}: {told}");
        }
    }
}
