//! A private nginx: Debian's, in one process on a free port, with what a test gives it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::Process;
use crate::{eventually, ports};

const PROGRAM: &str = "/usr/sbin/nginx";
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A web server. Dropping it kills it.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens.
    pub address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

impl Nginx {
    /// Starts one with this content of its one `server` block, `listen` excluded; `{address}` stands for where it listens.
    ///
    /// # Errors
    /// Names the Debian package when it is missing, and tells what nginx says to the configuration.
    pub async fn start(server: &str) -> Result<Self> {
        ensure!(Path::new(PROGRAM).exists(), "no {PROGRAM}: install the Debian package `nginx-light` (tests/install)");
        let dir = tempfile::Builder::new().prefix("bellwire-nginx-").tempdir()?;
        let address = ports::free();
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, configuration(dir.path(), address, server))?;
        let mut command = Command::new(PROGRAM);
        command.args(["-e", "stderr", "-p"]).arg(dir.path()).arg("-c").arg(&file);
        let mut process = Process::spawn("nginx", command)?;
        let started = eventually::eventually("nginx listens", START_DEADLINE, || {
            let alive = process.check_alive();
            async move {
                if let Err(error) = alive {
                    // It has said why, and will not come any more.
                    return Ok(Some(Err(error)));
                }
                TcpStream::connect(address).await?;
                Ok(Some(Ok(())))
            }
        })
        .await?;
        if started.is_err() {
            process.written(START_DEADLINE).await;
            process.check_alive()?;
        }
        Ok(Self { address, _process: process, _dir: dir })
    }
}

/// Nothing outside its folder, and one process: who runs the tests may not be allowed to change the user.
fn configuration(dir: &Path, address: SocketAddr, server: &str) -> String {
    let dir = dir.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {dir}/{name};\n"))
        .concat();
    let server = server.replace("{address}", &address.to_string());
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nevents {{ }}\nhttp {{\n\
         include /etc/nginx/mime.types;\naccess_log off;\n{temporary}server {{\nlisten {address};\n{server}\n}}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[tokio::test]
    async fn it_serves_what_it_is_told_and_says_what_it_does_not_understand() {
        let nginx = Nginx::start("location = /where { return 200 \"{address}\"; }").await.unwrap();
        let answer = http::get(nginx.address, "/where").await.unwrap();
        assert_eq!(answer.text(), nginx.address.to_string());
        let error = Nginx::start("no_such_directive on;").await.unwrap_err();
        assert!(format!("{error:#}").contains("no_such_directive"), "{error:#}");
    }
}
