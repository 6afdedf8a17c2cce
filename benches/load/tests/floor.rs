//! The load generator against its bare partner: what it reports, and that it notices what is lost.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const SMALL: [&str; 10] = ["--tabs", "70", "--users", "70", "--browsers", "5", "--rate", "200", "--rounds", "1"];

fn load(args: &[&str]) -> (Output, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwire-load"));
    let output = command.args(SMALL).args(["--seconds", "1", "--drain", "1"]).args(args).output().unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, document)
}

struct Floor(Child, SocketAddr);

impl Floor {
    fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bellwire-floor"))
            .arg(free.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(free).is_err() {
            std::thread::yield_now();
        }
        Self(child, free)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_scenario_is_measured_and_nothing_is_lost() {
    let results = measure(&["--shape", "floor", "--protocol", "native"]);
    assert_eq!(results.len(), 6);
    let paced = results.iter().find(|result| result["scenario"] == "spread-rate").unwrap();
    assert_eq!(paced["runs"][0]["sent"], 200, "an open loop sends what it was told to");
}

#[test]
fn the_older_tabs_are_measured_too() {
    let results = measure(&["--shape", "floor", "--protocol", "v1,v2", "--scenario", "handshakes,fanout-rate"]);
    assert_eq!(results.len(), 4);
}

/// Results in which all that was accepted was received, each with figures.
fn measure(args: &[&str]) -> Vec<Value> {
    let (output, document) = load(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = document["results"].as_array().unwrap();
    for result in results {
        assert_eq!(result["faults"], serde_json::json!([]), "{result}");
        let figures = result["figures"].as_object().unwrap();
        assert!(!figures.is_empty() && figures.values().all(Value::is_number), "{result}");
        for run in result["runs"].as_array().unwrap() {
            let tabs = if result["scenario"].as_str().unwrap().starts_with("fanout") { 5 } else { 1 };
            assert!(run["accepted"].as_u64().unwrap() > 0, "{run}");
            assert_eq!(run["received"].as_u64().unwrap(), run["accepted"].as_u64().unwrap() * tabs, "{run}");
            assert_eq!(run["latency_ms"]["count"], run["received"], "{run}");
        }
    }
    results.clone()
}

#[test]
fn what_is_accepted_and_never_arrives_fails_the_run() {
    let (with_tabs, without) = (Floor::start(), Floor::start());
    let (gateway, ingest) = (with_tabs.1.to_string(), without.1.to_string());
    let args = ["--gateway", &gateway, "--ingest", &ingest, "--scenario", "spread-rate", "--protocol", "v2"];
    let (output, document) = load(&args);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    for result in document["results"].as_array().unwrap() {
        assert_eq!((&result["runs"][0]["accepted"], &result["runs"][0]["lost"]), (&200.into(), &200.into()));
        assert!(result["faults"].to_string().contains("200 lost"), "{result}");
    }
}

#[test]
fn another_machine_is_not_loaded() {
    let (output, _) = load(&["--gateway", "192.0.2.1:8083"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback only"));
}

#[test]
fn a_row_that_cannot_be_measured_is_a_fault_and_the_others_are_kept() {
    let args = ["--shape", "memory,floor", "--program", "/bin/false", "--scenario", "handshakes", "--protocol", "v2"];
    let (output, document) = load(&args);
    assert_eq!(output.status.code(), Some(1));
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert!(results[0]["faults"].to_string().contains("not measured"), "{}", results[0]);
    assert_eq!(results[0]["figures"], serde_json::json!({}));
    assert_eq!(results[1]["faults"], serde_json::json!([]), "{}", results[1]);
}
