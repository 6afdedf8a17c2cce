//! Starting the server of a node.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::group::Group;
use super::place::{Place, scripts};

/// A start takes 5 to 8 s on an idle machine; tests share theirs.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// The end of the server or of the orders ends the whole group.
const SCRIPT: &str = r#"
{ "$SERVER" </dev/null; kill -KILL 0; } &
while read -r signal; do kill -"$signal" "$(cat "$RABBITMQ_PID_FILE")"; echo "$SENT"; done
kill -KILL 0
"#;

/// Starts it and waits until it serves AMQP.
pub(super) async fn start(place: &Place) -> Result<Group> {
    let server = scripts()?.join("rabbitmq-server");
    let _ = fs::remove_file(place.pid_file());
    let mut shell = place.command(Path::new("bash"));
    shell.env("SERVER", server);
    let group = Group::start(shell, SCRIPT, "completed with", START_DEADLINE).await.context("rabbitmq")?;
    let port = place.amqp_port;
    tokio::task::spawn_blocking(move || answers_amqp(port)).await?.with_context(|| group.last_words())?;
    Ok(group)
}

fn answers_amqp(port: u16) -> Result<()> {
    const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ANSWER_DEADLINE)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut frame = [0; 11];
    stream.read_exact(&mut frame).context("no answer to the AMQP header")?;
    // A method frame on channel 0 with connection.start.
    ensure!(frame[..3] == [1, 0, 0] && frame[7..] == [0, 10, 0, 10], "port {port} does not speak AMQP 0.9.1");
    Ok(())
}
