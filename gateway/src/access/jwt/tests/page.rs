//! What `docs/tokens.md` says.

use super::*;

const PAGE: &str = include_str!("../../../../../docs/tokens.md");

/// The commands of the page make a key and a token that opens.
#[test]
fn a_token_of_the_page_opens() {
    let blocks: Vec<&str> = PAGE.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let folder = tempfile::tempdir().unwrap();
    let script = format!("set -euo pipefail\n{}", blocks.concat());
    let shell = std::process::Command::new("bash").arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let token = String::from_utf8(shell.stdout).unwrap();
    let tokens = tokens(&std::fs::read(folder.path().join("gateway.pem")).unwrap());
    let now = UnixMillis::now();
    let claims = tokens.check(token.trim_end(), now).unwrap();
    assert_eq!(claims.user.as_str(), "7");
    assert!(claims.expires_at <= now.plus(300_000 + EXPIRY_LEEWAY_MS));
}

#[test]
fn the_page_names_every_reason_and_limit() {
    for refused in Refused::ALL {
        assert!(PAGE.contains(&format!("`{}`", refused.label())), "{refused:?}");
    }
    assert!(PAGE.contains(&format!("at most {TOKEN_BYTES_MAX} bytes")));
    assert!(PAGE.contains(&format!(
        "taken until {} s later. At most {} h",
        EXPIRY_LEEWAY_MS / 1000,
        LIFETIME_MAX_MS / 3_600_000
    )));
    assert!(PAGE.contains(&format!("up to {} s ahead", SKEW_MS / 1000)));
}
