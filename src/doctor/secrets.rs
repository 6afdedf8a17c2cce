//! Who can read the secrets, and whether they can be guessed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bellwire_common::ids::{CHECK_USER, UserId};
use bellwire_common::notification;
use bellwire_common::settings::{FACTORY_KEY, Secret, SessionCheck, Source};
use bellwire_gateway::protocol::SharedKey;
use bellwire_ingest::Tokens;
use bellwire_ingest::tokens::{About, Grant, TOKEN_BYTES_ADVISED};

use super::context::Context;
use super::finding::Finding;

const FILES: &str = "secrets";
const KEY: &str = "key";
const TOKENS: &str = "tokens";

/// Settings that name a file with a secret.
const SECRET_FILES: [&str; 6] =
    ["shared-key-file", "amqp-password-file", "tls-key-file", "ingest-tokens-file", "mysql-file", "jwt-keys-file"];

/// Less can be tried out by whoever reaches the gateway.
const BITS_MIN: f64 = 64.0;
/// This much nobody will ever try out.
const BITS_GOOD: f64 = 128.0;

/// Files with secrets: others must not read them.
pub(crate) fn files(context: &Context) -> Vec<Finding> {
    let named = SECRET_FILES.iter().filter_map(|name| Some((*name, context.given.get(name)?.text.as_str())));
    let in_config = ["shared-key", "log"].iter().find_map(|name| {
        let given = context.given.get(name)?;
        // A log has a secret only where it has a password.
        let is_secret = *name != "log" || given.text.contains('@');
        match &given.source {
            Source::File(path) if is_secret => Some(("config", path.as_str())),
            _ => None,
        }
    });
    let mut findings: Vec<_> = named
        .chain(in_config)
        .map(|(name, path)| match fs::metadata(Path::new(path)) {
            Ok(meta) => readable(name, path, reach(Path::new(path), meta.mode()), meta.uid()),
            Err(error) => Finding::fail(FILES, format!("{name} {path}: {error}")),
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok(FILES, "no secret is in a file that the settings name"));
    }
    findings
}

/// The mode without the rights of others where the folder lets no other in.
fn reach(path: &Path, mode: u32) -> u32 {
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    if folder.is_some_and(|folder| folder.mode() & 0o001 == 0) { mode & !0o007 } else { mode }
}

fn readable(name: &str, path: &str, mode: u32, owner: u32) -> Finding {
    let mode = mode & 0o777;
    let so = format!("{name} {path} is {mode:03o}, of user {owner}");
    match mode {
        _ if mode & 0o007 != 0 => Finding::fail(
            FILES,
            format!(
                "{so}: everybody on this machine has a right to it; let only the node's user read it: chown root:bellwire {path} && chmod 640 {path}"
            ),
        ),
        // openITCOCKPIT writes its mysql.cnf so.
        _ if mode & 0o020 != 0 && name != "mysql-file" => {
            Finding::warn(FILES, format!("{so}: its group may change it; chmod g-w {path}"))
        }
        _ => Finding::ok(FILES, so),
    }
}

/// The shared key.
pub(crate) fn key(context: &Context) -> Vec<Finding> {
    let Some((_, access)) = &context.tabs else { return Vec::new() };
    let mut findings = match &context.key {
        Some(key) => vec![strength(key, access.allows_default_key)],
        None if context.node.mysql_file.is_some() => {
            vec![Finding::ok(KEY, "none is set here: that of openITCOCKPIT's database counts")]
        }
        None => return vec![Finding::ok(KEY, "none is set here")],
    };
    if access.session_check == SessionCheck::KeyOnly {
        findings.push(Finding::warn(
            KEY,
            "whoever has the key can listen as any user (session-check=key-only): set openitcockpit-url and leave \
             session-check out, so that logins are checked",
        ));
    }
    let key = context.any_key().and_then(|key| SharedKey::try_new(key.expose()).ok());
    if key.is_some_and(|key| !key.is_subprotocol()) {
        findings.push(Finding::warn(
            KEY,
            "it has characters that no WebSocket handshake takes: only tabs of openITCOCKPIT 5.3 can connect; use \
             letters, digits, - and _",
        ));
    }
    findings
}

pub(super) fn strength(key: &Secret, allows_default: bool) -> Finding {
    let key = key.expose();
    let bits = bits(key);
    let so = format!("{} characters, worth at most {bits:.0} bits", key.len());
    let advice = "make one with: head -c 80 /dev/urandom | od -An -tx1 | tr -d ' \\n'";
    if key == FACTORY_KEY {
        let so = "it is openITCOCKPIT's factory setting, which everybody knows";
        let then = if allows_default { "it is allowed for a moment (shared-key-default)" } else { "it is not taken" };
        return Finding::fail(
            KEY,
            format!("{so}; {then}: change SUDO_SERVER.API_KEY in openITCOCKPIT's system settings"),
        );
    }
    if bits < BITS_MIN {
        return Finding::fail(KEY, format!("{so}: it can be guessed; {advice}"));
    }
    if bits < BITS_GOOD {
        return Finding::warn(KEY, format!("{so}: longer is better; {advice}"));
    }
    Finding::ok(KEY, so)
}

/// At most what chance could have put into a text of this length with these characters.
fn bits(text: &str) -> f64 {
    let different = text.bytes().collect::<std::collections::BTreeSet<_>>().len().max(1);
    text.len() as f64 * (different as f64).log2()
}

/// The tokens that may send.
pub(crate) fn tokens(context: &Context) -> Vec<Finding> {
    let Some(intake) = &context.intake else { return Vec::new() };
    let Some(file) = &intake.tokens_file else {
        return vec![Finding::ok(TOKENS, "none: notifications are taken from this machine only")];
    };
    match Tokens::load(file) {
        Ok(tokens) => tokens_judged(&file.display().to_string(), &tokens.about()),
        Err(error) => vec![Finding::fail(TOKENS, error.to_string())],
    }
}

fn tokens_judged(file: &str, tokens: &[About]) -> Vec<Finding> {
    let lines = |is: fn(&About) -> bool| {
        let lines: Vec<_> = tokens.iter().filter(|about| is(about)).map(|about| about.line.to_string()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    };
    let short = lines(|about| about.is_short).map(|lines| {
        format!(
            "{file}, line {lines}: a token of less than {TOKEN_BYTES_ADVISED} characters can be guessed; give the sender \
             a longer one"
        )
    });
    let closed = lines(|about| keeps_check_out(&about.grant)).map(|lines| {
        format!(
            "{file}, line {lines}: `bellwire check` cannot send with such a token; where it shall, add {CHECK_USER} to \
             its users="
        )
    });
    let mut findings: Vec<_> = short.into_iter().map(|text| Finding::warn(TOKENS, text)).collect();
    findings.extend(closed.map(|text| Finding::warn(TOKENS, text)));
    if findings.is_empty() {
        findings.push(Finding::ok(TOKENS, format!("{file} can be used")));
    }
    findings
}

/// Of the tokens that are for where `bellwire check` sends to: a webhook's is not meant for it.
fn keeps_check_out(grant: &Grant) -> bool {
    grant.has_path(notification::PATH) && UserId::try_new(CHECK_USER).is_ok_and(|user| !grant.has_user(&user))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn others_must_not_read_a_secret() {
        for (name, mode, level) in [
            ("shared-key-file", 0o100600, Level::Ok),
            ("shared-key-file", 0o100640, Level::Ok),
            ("shared-key-file", 0o100660, Level::Warn),
            ("mysql-file", 0o100660, Level::Ok),
            ("shared-key-file", 0o100644, Level::Fail),
            ("mysql-file", 0o100664, Level::Fail),
            ("tls-key-file", 0o100602, Level::Fail),
        ] {
            let finding = readable(name, "/f", mode, 33);
            assert_eq!(finding.level, level, "{name} {mode:o}: {finding}");
        }
        assert!(readable("tls-key-file", "/f", 0o644, 0).text.contains("chmod 640 /f"));
    }

    #[test]
    fn a_folder_that_lets_nobody_in_keeps_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "k").unwrap();
        for (rights, mode) in [(0o750, 0o640), (0o755, 0o644)] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(rights)).unwrap();
            assert_eq!(reach(&file, 0o644), mode, "{rights:o}");
        }
    }

    #[test]
    fn a_key_is_worth_what_chance_put_into_it() {
        let hex = "0123456789abcdef".repeat(10);
        for (key, level) in [
            (hex.as_str(), Level::Ok),
            ("0123456789abcdef0123456789abcdef", Level::Ok),
            ("monitoring-secret-key", Level::Warn),
            ("secret", Level::Fail),
            (&"a".repeat(160), Level::Fail),
            (FACTORY_KEY, Level::Fail),
        ] {
            let finding = strength(&Secret::new(key), false);
            assert_eq!(finding.level, level, "{finding}");
            assert!(!finding.text.contains(key), "{finding}");
        }
    }

    #[test]
    fn tokens_are_named_by_line() {
        let user = |id| UserId::try_new(id).unwrap();
        let about = |line, is_short, users: Option<Vec<UserId>>, paths| About {
            line,
            is_short,
            grant: Arc::new(Grant { users, paths, ..Grant::default() }),
        };
        let judged = |tokens: &[About]| {
            tokens_judged("/t", tokens).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let open = about(1, false, None, None);
        let with_check = about(2, false, Some(vec![user("7"), user(CHECK_USER)]), Some(vec![notification::PATH]));
        assert_eq!(judged(&[open.clone(), with_check]), "ok   tokens: /t can be used");
        let short = about(3, true, None, None);
        assert!(judged(&[open.clone(), short]).starts_with("warn tokens: /t, line 3: a token of less than 16"));
        let seven = || Some(vec![user("7")]);
        let webhook = about(5, false, seven(), Some(vec!["/v1/alertmanager"]));
        let said = judged(&[open, about(4, false, seven(), None), webhook]);
        assert!(said.starts_with("warn tokens: /t, line 4: `bellwire check` cannot send"), "{said}");
        assert!(said.contains("add bellwire.check to its users="), "{said}");
    }
}
