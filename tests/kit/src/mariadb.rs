//! A private MariaDB with openITCOCKPIT's tables: Debian's, in one process with its own data, socket and port.
//!
//! The server and whatever it starts are killed when the [`MariaDb`] is dropped, and when the test process is gone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;
use crate::{eventually, ports};

const PROGRAM: &str = "/usr/sbin/mariadbd";
const INSTALLER: &str = "/usr/bin/mariadb-install-db";
const SCHEMA: &str = include_str!("mariadb/schema.sql");
const START_DEADLINE: Duration = Duration::from_secs(120);
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// The account of openITCOCKPIT, and of Bellwire.
pub const USER: &str = "openitcockpit";

/// Its password, with everything that a parser of `mysql.cnf` may stumble over.
pub const PASSWORD: &str = r#"p#a;s's "w=o r\d"#;

/// The database.
pub const DATABASE: &str = "openitcockpit";

/// A running, stopped or paused server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct MariaDb {
    /// Before the folder: it must end before its data go.
    process: Option<Process>,
    address: SocketAddr,
    dir: TempDir,
}

impl MariaDb {
    /// Starts one with empty tables and waits until it answers.
    ///
    /// # Errors
    /// Names the Debian package when it is missing, or shows what the server wrote.
    pub async fn start() -> Result<Self> {
        ensure!(
            Path::new(PROGRAM).exists(),
            "no {PROGRAM}: install the Debian package `mariadb-server` (tests/install)"
        );
        let dir = tempfile::Builder::new().prefix("bellwire-mariadb-").tempdir()?;
        let mut this = Self { process: None, address: ports::free(), dir };
        this.install().await?;
        this.restart().await?;
        let mut conn = this.root().await?;
        for statement in SCHEMA.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            conn.query_drop(statement).await.with_context(|| statement.to_owned())?;
        }
        for host in ["localhost", "127.0.0.1"] {
            let password = PASSWORD.replace('\\', r"\\").replace('\'', "''");
            conn.query_drop(format!("CREATE USER '{USER}'@'{host}' IDENTIFIED BY '{password}'")).await?;
            conn.query_drop(format!("GRANT SELECT ON {DATABASE}.* TO '{USER}'@'{host}'")).await?;
            conn.query_drop(format!("GRANT DELETE ON {DATABASE}.mobile_devices TO '{USER}'@'{host}'")).await?;
        }
        conn.disconnect().await?;
        Ok(this)
    }

    /// Where it listens. Stays the same over restarts.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("mysqld.sock")
    }

    /// A `mysql.cnf` as openITCOCKPIT writes it, with the server's address.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn cnf(&self) -> PathBuf {
        let (host, port) = (self.address.ip(), self.address.port());
        self.cnf_with("mysql.cnf", &format!("host = {host}\nport = {port}\npassword = {PASSWORD}\n"))
    }

    /// A `mysql.cnf` of this name, with these lines beside the database and the user.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn cnf_with(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let text = format!("; openITCOCKPIT's database\n[client]\ndatabase = {DATABASE}\nuser = {USER}\n{lines}");
        std::fs::write(&path, text).expect("a file in a folder of our own");
        path
    }

    /// Runs statements as the administrator, in openITCOCKPIT's database. They are split at `;` before a line's end.
    pub async fn run(&self, sql: &str) -> Result<()> {
        let mut conn = self.root().await?;
        conn.query_drop(format!("USE {DATABASE}")).await?;
        for statement in sql.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            conn.query_drop(statement).await.with_context(|| statement.to_owned())?;
        }
        Ok(conn.disconnect().await?)
    }

    /// How many statements of this kind all clients have run so far: `Com_select` and its like.
    pub async fn status(&self, variable: &str) -> Result<u64> {
        let mut conn = self.root().await?;
        let row: Option<(String, u64)> = conn.query_first(format!("SHOW GLOBAL STATUS LIKE '{variable}'")).await?;
        conn.disconnect().await?;
        row.map(|(_, value)| value).with_context(|| format!("no status {variable}"))
    }

    /// Adds a host, a service with a name of its own, one with its template's, a user with a contact that has push
    /// notifications switched on for both (7), one for hosts only (8), one without a contact (9), and the shared key.
    pub async fn seed(&self, host: &str, service: &str, template_service: &str, key: &str) -> Result<()> {
        self.run(&format!(
            "INSERT INTO hosts (id, uuid, name) VALUES (1, '{host}', 'web-01');\n\
             INSERT INTO servicetemplates (id, uuid, template_name, name) VALUES (1, UUID(), 'not this', 'Ping');\n\
             INSERT INTO services (uuid, servicetemplate_id, host_id, name) VALUES ('{service}', 1, 1, 'Disk /');\n\
             INSERT INTO services (uuid, servicetemplate_id, host_id, name) VALUES ('{template_service}', 1, 1, NULL);\n\
             INSERT INTO users (id) VALUES (7), (8), (9);\n\
             INSERT INTO contacts (uuid, user_id, host_push_notifications_enabled, service_push_notifications_enabled)\n\
             VALUES (UUID(), 7, 1, 1), (UUID(), 7, 0, 0), (UUID(), 8, 1, 0), (UUID(), NULL, 1, 1);\n"
        ))
        .await?;
        self.set_key(key).await
    }

    /// Sets the shared key, in place of the one that there was.
    pub async fn set_key(&self, key: &str) -> Result<()> {
        let key = key.replace('\\', r"\\").replace('\'', "''");
        self.run(&format!(
            "DELETE FROM systemsettings WHERE `key` = 'SUDO_SERVER.API_KEY';\n\
             INSERT INTO systemsettings (`key`, value, section) VALUES ('SUDO_SERVER.API_KEY', '{key}', 'SUDO_SERVER')"
        ))
        .await
    }

    /// Stops it in good order. Nothing to do when it does not run.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        self.signal("TERM").await?;
        process.wait(STOP_DEADLINE).await.map(drop)
    }

    /// Kills it. Nothing to do when it does not run.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().await
    }

    /// Starts it again with its data and waits until it answers; stops it before if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let mut process = Process::spawn_group("mariadbd", PROGRAM, &self.arguments())?;
        let this: &Self = self;
        eventually::eventually("MariaDB answers", START_DEADLINE, || {
            let alive = process.check_alive();
            async move {
                if let Err(error) = alive {
                    // It has said why, and will not come any more.
                    return Ok(Some(Err(error)));
                }
                this.root().await?.disconnect().await?;
                Ok(Some(Ok(())))
            }
        })
        .await??;
        self.process = Some(process);
        Ok(())
    }

    /// Freezes it (SIGSTOP): connections stay open and nothing answers.
    pub async fn pause(&self) -> Result<()> {
        self.signal("STOP").await
    }

    /// Ends [`MariaDb::pause`].
    pub async fn resume(&self) -> Result<()> {
        self.signal("CONT").await
    }

    /// The server's process is a child of the shell that sees to its end.
    async fn signal(&self, name: &str) -> Result<()> {
        let file = self.dir.path().join("pid");
        let pid = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", pid.trim())]).status().await?;
        ensure!(status.success(), "cannot send {name} to MariaDB");
        Ok(())
    }

    async fn root(&self) -> Result<Conn> {
        let socket = self.socket().display().to_string();
        let opts = OptsBuilder::default().socket(Some(socket)).user(Some("root"));
        // Given, so that no connection begins with a query for them, which would be counted.
        Ok(Conn::new(opts.max_allowed_packet(Some(1024 * 1024)).wait_timeout(Some(60))).await?)
    }

    async fn install(&self) -> Result<()> {
        let mut command = Command::new(INSTALLER);
        command
            .arg("--no-defaults")
            .args(self.place())
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        // A server that starts removes what others left in its folder for temporary tables, and what they still use.
        command.env("TMPDIR", self.dir.path());
        let output = command.stdin(Stdio::null()).output().await.context(INSTALLER)?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        ensure!(output.status.success(), "{INSTALLER}: {said}");
        Ok(())
    }

    fn place(&self) -> Vec<String> {
        let mut place = vec![format!("--datadir={}", self.dir.path().join("data").display())];
        // It refuses to run as root by accident.
        if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            place.push("--user=root".to_owned());
        }
        place
    }

    fn arguments(&self) -> Vec<String> {
        let dir = self.dir.path().display();
        let mut arguments = vec!["--no-defaults".to_owned()];
        arguments.extend(self.place());
        arguments.extend([
            format!("--socket={}", self.socket().display()),
            format!("--pid-file={dir}/pid"),
            format!("--tmpdir={dir}"),
            format!("--bind-address={}", self.address.ip()),
            format!("--port={}", self.address.port()),
        ]);
        // Small and quick: the data must outlive a killed server, not a machine without power.
        let small = [
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-fast-shutdown=1",
        ];
        arguments.extend(small.map(str::to_owned));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_keeps_its_data_and_takes_the_password_of_its_file() {
        let mut database = MariaDb::start().await.unwrap();
        database.seed("h", "s", "t", "key").await.unwrap();
        let text = std::fs::read_to_string(database.cnf()).unwrap();
        assert!(text.contains(&format!("password = {PASSWORD}\n")), "{text}");
        let opts = || {
            let (host, port) = (database.address().ip().to_string(), database.address().port());
            let builder = OptsBuilder::default().ip_or_hostname(host).tcp_port(port).prefer_socket(false);
            builder.user(Some(USER)).pass(Some(PASSWORD)).db_name(Some(DATABASE))
        };
        let names = |mut conn: Conn| async move { conn.query::<String, _>("SELECT name FROM hosts").await };
        assert_eq!(names(Conn::new(opts()).await.unwrap()).await.unwrap(), ["web-01"]);
        assert!(Conn::new(opts().pass(Some("p"))).await.is_err());
        database.kill().await.unwrap();
        assert!(database.run("SELECT 1").await.is_err());
        database.restart().await.unwrap();
        database.pause().await.unwrap();
        database.resume().await.unwrap();
        database.stop().await.unwrap();
        database.restart().await.unwrap();
        assert!(database.status("Com_select").await.is_ok());
    }
}
