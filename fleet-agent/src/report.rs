//! What `fleet-agent doctor` says: a line for each thing that was looked at, or JSON. 1 when something is bad. And the manual's page.

use std::{io::Write, process::ExitCode};

use fleet_agent::doctor::{Finding, Patient, Verdict, examine};
use serde::Serialize;

use super::{Arguments, Output, agent};

#[derive(Serialize)]
struct Envelope {
    schema: &'static str,
    kind: &'static str,
    items: Vec<Finding>,
    errors: [(); 0],
    generated_at: String,
}

pub fn doctor(arguments: &Arguments, output: Output) -> ExitCode {
    let listen = if arguments.no_listen { Vec::new() } else { agent::places(arguments) };
    let findings = match agent::data_folder(arguments.data_dir.as_deref()) {
        Ok(data) => examine(&data, Patient::Agent { listen: &listen, runs: agent::runs_on(&data) }),
        Err(error) => {
            let remedy = "make the folder above it writable, or name another with --data-dir";
            vec![Finding::bad("data directory", format!("{error:#}"), remedy)]
        }
    };
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Good);
    let text = match output {
        Output::Plain => findings.iter().map(|finding| format!("{finding}\n")).collect(),
        Output::Json => json(findings) + "\n",
    };
    // A closed pipe is nobody listening.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(u8::from(worst == Verdict::Bad))
}

/// Made of the same table as the help.
pub fn manual(command: clap::Command) -> ExitCode {
    let mut page = Vec::new();
    let made = clap_mangen::Man::new(command).manual("Bitácora fleets").render(&mut page);
    // A closed pipe is nobody listening.
    let _ = std::io::stdout().write_all(&page);
    ExitCode::from(u8::from(made.is_err()))
}

fn json(findings: Vec<Finding>) -> String {
    let generated_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let envelope = Envelope { schema: "bitacora/doctor/1", kind: "doctor", items: findings, errors: [], generated_at };
    serde_json::to_string(&envelope).expect("texts and numbers become JSON")
}
