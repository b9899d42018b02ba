//! `bitacora schema`.

use std::io::Write;

use clap::Args;

use super::output::{Sink, UsageError};
use crate::exit::Exit;

/// Each kind of JSON document and its schema.
const SCHEMAS: &[(&str, &str)] = &[
    ("analysis", include_str!("../../assets/schemas/analysis.json")),
    ("audit", include_str!("../../assets/schemas/audit.json")),
    ("bench", include_str!("../../assets/schemas/bench.json")),
    ("bench-analysis", include_str!("../../assets/schemas/bench-analysis.json")),
    ("bench-link", include_str!("../../assets/schemas/bench-link.json")),
    ("cache", include_str!("../../assets/schemas/cache.json")),
    ("config", include_str!("../../assets/schemas/config.json")),
    ("cycles", include_str!("../../assets/schemas/cycles.json")),
    ("dependencies", include_str!("../../assets/schemas/dependencies.json")),
    ("discovered", include_str!("../../assets/schemas/discovered.json")),
    ("doctor", include_str!("../../assets/schemas/doctor.json")),
    ("events", include_str!("../../assets/schemas/events.json")),
    ("jobs", include_str!("../../assets/schemas/jobs.json")),
    ("moment", include_str!("../../assets/schemas/moment.json")),
    ("node", include_str!("../../assets/schemas/node.json")),
    ("nodes", include_str!("../../assets/schemas/nodes.json")),
    ("operators", include_str!("../../assets/schemas/operators.json")),
    ("projects", include_str!("../../assets/schemas/projects.json")),
    ("reasons", include_str!("../../assets/schemas/reasons.json")),
    ("replay", include_str!("../../assets/schemas/replay.json")),
    ("script", include_str!("../../assets/schemas/script.json")),
    ("sparks", include_str!("../../assets/schemas/sparks.json")),
    ("symbols", include_str!("../../assets/schemas/symbols.json")),
    ("verification", include_str!("../../assets/schemas/verification.json")),
];

/// Prints the JSON schema of a kind of document, or the list of kinds.
#[derive(Args)]
pub(super) struct Schema {
    /// The kind, as the list has it
    kind: Option<String>,
}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut out = Sink::open(None)?;
        match self.kind {
            None => SCHEMAS.iter().try_for_each(|(kind, _)| writeln!(out, "{kind}"))?,
            Some(kind) => {
                let found = SCHEMAS.iter().find(|(name, _)| *name == kind);
                let (_, schema) = found.ok_or_else(|| UsageError(format!("there is no schema {kind}; `bitacora schema` lists them")))?;
                out.write_all(schema.as_bytes())?;
            }
        }
        out.close()?;
        Ok(Exit::Ok)
    }
}
