//! A network of a test's own: loopback and nothing else. There it may use the very ports that the documentation names.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::process::Process;

/// Set where a test runs in its own network: the test's name.
const OWN: &str = "BELLWIRE_TEST_OWN_NETWORK";
/// Everything that one test does, on a machine that builds something else.
const ENDS_WITHIN: Duration = Duration::from_secs(900);

/// Whether this process runs `test` in a network of its own. If not, runs the test there, once more and alone, and fails as
/// it does; the caller has nothing left to do then. Needs root's rights.
///
/// ```no_run
/// # async fn test() {
/// if bellwire_testkit::network::is_own("module::name_of_the_test").await.unwrap() {
///     // ... the test
/// }
/// # }
/// ```
///
/// # Errors
/// With everything that the test wrote.
pub async fn is_own(test: &str) -> Result<bool> {
    if std::env::var_os(OWN).is_some_and(|own| own == test) {
        return Ok(true);
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--net",
        "/bin/sh",
        "-euc",
        r#"ip link set lo up; exec "$@""#,
        "sh",
    ]);
    command.arg(std::env::current_exe()?).args(["--exact", test, "--nocapture"]).env(OWN, test).stdin(Stdio::null());
    let mut process = Process::spawn(test, command)?;
    let status = process.wait(ENDS_WITHIN).await?;
    // The last lines come behind the end.
    let _ = process.line("test result: ", Duration::from_secs(10)).await;
    let output = process.output().replace('\n', "\n| ");
    ensure!(status.success(), "it failed in a network of its own (which needs root's rights):\n| {output}");
    // A name that no test has would pass.
    process.line("test result: ok. 1 passed", Duration::from_secs(10)).await.context("no test ran")?;
    Ok(false)
}
