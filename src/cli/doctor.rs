//! `bitacora doctor`: what is amiss with the terminal, the network and the store, and how to mend it.

mod network;
mod probe;
mod store;
mod terminal;

use std::io::Write;

use clap::Args;
use fleet_agent::doctor::{Finding, Verdict};

use super::{
    Given, config,
    output::{Sink, Streams, list_items},
};
use crate::{
    data::DataDirectory,
    exit::Exit,
    report::{Format, table::Column, text::harmless},
};

/// Looks whether the terminal, the network and the store let this program work, and says how to mend what does not
///
/// Nothing is changed. Ends with 1 when something is bad; what is weak works, and not as well as it could. For the machine
/// of a node there is `fleet-agent doctor`.
#[derive(Args)]
pub(super) struct Doctor {
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Doctor {
    pub(super) fn run(self, streams: Streams, given: &Given) -> anyhow::Result<Exit> {
        let root = DataDirectory::place(given.data_dir.as_deref())?;
        let findings = [terminal::examine(), vec![configuration(given)], network::examine(&root), store::examine(&root)].concat();
        tell(streams, &findings, self.output)
    }
}

/// Prints what was found; 1 when something is bad.
pub(super) fn tell(streams: Streams, findings: &[Finding], output: Option<Format>) -> anyhow::Result<Exit> {
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Good);
    match Format::or_for(output, streams.stdout_is_terminal) {
        Format::Table | Format::Wide => {
            let mut out = Sink::open(None)?;
            for line in findings.iter().flat_map(|finding| finding.to_string().lines().map(harmless).collect::<Vec<_>>()) {
                writeln!(out, "{line}")?;
            }
            out.close()?;
        }
        format => {
            let columns = [Column::Text("Verdict"), Column::Text("Subject"), Column::Text("Found"), Column::Text("Remedy")];
            let row =
                |finding: &Finding| vec![finding.verdict.name().into(), finding.subject.clone().into_owned(), finding.found.clone(), finding.remedy.clone()];
            list_items(streams, Some(format), "doctor", findings, &columns, findings.iter().map(row).collect(), |finding| &finding.subject)?;
        }
    }
    Ok(if worst == Verdict::Bad { Exit::Failure } else { Exit::Ok })
}

fn configuration(given: &Given) -> Finding {
    const SUBJECT: &str = "configuration";
    match config::examine(given) {
        Ok(found) => Finding::good(SUBJECT, found),
        Err(wrong) => Finding::bad(SUBJECT, wrong, "`bitacora config check` says everything that is wrong with it, and what is allowed"),
    }
}
