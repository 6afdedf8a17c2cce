//! What one call of `bellwire-notify` costs: wall time against `/bin/true` in the same run, and peak memory.
//!
//! ```text
//! bellwire-notify-bench [PROGRAM [ARGUMENT ...]]
//! ```
//!
//! Without PROGRAM it measures the `bellwire-notify` that lies beside it; `bellwire-notify-bench target/release/bellwire
//! notify` measures the large binary. The server is its own: a bare socket that confirms each notification. It
//! prints one JSON object; times are in milliseconds, memory in KiB.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use anyhow::{Context, ensure};

const ROUNDS: usize = 300;
const MEMORY_ROUNDS: usize = 20;
const REQUEST_BYTES_MAX: usize = 64 * 1024;

fn main() -> anyhow::Result<()> {
    let mut command = std::env::args_os().skip(1).collect::<Vec<_>>();
    if command.is_empty() {
        let beside = std::env::current_exe()?.with_file_name("bellwire-notify");
        command.push(beside.into_os_string());
    }
    let (program, arguments) = command.split_first().context("a program")?;
    let notify = |address: SocketAddr| {
        let mut command = Command::new(program);
        command.args(arguments).args(ARGUMENTS).arg("--ingest").arg(address.to_string());
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let (mut nothing, mut ours) = (Vec::new(), Vec::new());
    let address = serve(None)?;
    for _ in 0..ROUNDS {
        nothing.push(wall_ms(Command::new("/bin/true").env_clear())?);
        ours.push(wall_ms(&mut notify(address))?);
    }
    let mut memory = Vec::new();
    for _ in 0..MEMORY_ROUNDS {
        memory.push(peak_kib(&notify)?);
    }
    nothing.sort_by(f64::total_cmp);
    ours.sort_by(f64::total_cmp);
    memory.sort_unstable();
    let at = |sorted: &[f64], share: usize| sorted[(sorted.len() - 1) * share / 100];
    let result = serde_json::json!({
        "program": PathBuf::from(program),
        "rounds": ROUNDS,
        "true_ms": { "p50": at(&nothing, 50), "p90": at(&nothing, 90) },
        "notify_ms": { "p50": at(&ours, 50), "p90": at(&ours, 90) },
        "notify_peak_kib": { "p50": memory[memory.len() / 2], "max": memory.last() },
        "program_bytes": fs::metadata(program)?.len(),
    });
    println!("{result:#}");
    Ok(())
}

/// What Naemon would fill in.
const ARGUMENTS: &[&str] = &[
    "--type",
    "Service",
    "--notificationtype",
    "PROBLEM",
    "--hostuuid",
    "c36b8048-93ce-4385-ac19-ab5c90574b77",
    "--serviceuuid",
    "74fd8f59-1348-4e16-85f0-4a5c57c7dd62",
    "--state",
    "2",
    "--output",
    "PING CRITICAL - Packet loss = 100%, RTA = 4000.00 ms on the way to 198.51.100.7",
    "--ackauthor",
    "",
    "--ackcomment",
    "",
    "--user-id",
    "7",
];

fn wall_ms(command: &mut Command) -> anyhow::Result<f64> {
    let start = Instant::now();
    let status = command.status()?;
    let wall = start.elapsed().as_secs_f64() * 1000.0;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(wall)
}

/// The peak of resident memory, read while the program waits for the last byte of the answer: everything but the
/// judging of some hundred bytes is behind it then. (What `wait4` tells would include this process's own memory,
/// which a child has until it becomes another program.)
fn peak_kib(notify: &impl Fn(SocketAddr) -> Command) -> anyhow::Result<u64> {
    let (held, waiting) = channel();
    let address = serve(Some(held))?;
    let mut child: Child = notify(address).spawn()?;
    let release = waiting.recv()?;
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    release.send(())?;
    ensure!(child.wait()?.success(), "the program failed");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Confirms every notification; with `held`, says so before the last byte of an answer and waits for the word.
fn serve(held: Option<Sender<Sender<()>>>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(stream, held.as_ref()) {
                eprintln!("bellwire-notify-bench: {error}");
            }
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, held: Option<&Sender<Sender<()>>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let body = read_request(&mut stream)?;
    let request: serde_json::Value = serde_json::from_slice(&body)?;
    let result = serde_json::json!({ "results": [{ "id": request["id"], "status": "accepted", "errors": [] }] });
    let result = result.to_string();
    let head = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length:";
    let answer = format!("{head} {}\r\n\r\n{result}", result.len());
    let (most, last) = answer.split_at(answer.len() - 1);
    match held {
        None => stream.write_all(answer.as_bytes()),
        Some(held) => {
            stream.write_all(most.as_bytes())?;
            let (release, wait) = channel();
            if held.send(release).is_ok() {
                let _ = wait.recv();
            }
            stream.write_all(last.as_bytes())
        }
    }
}

fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Ok(bytes.split_off(end + 4));
            }
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 || bytes.len() > REQUEST_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not one whole request"));
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
}
