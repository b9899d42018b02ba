//! `bitacora cache …`.

use std::{collections::BTreeSet, io::Write};

use bitacora_core::{
    ids::Digest,
    wire::task::{FileOutcome, FileResult},
};
use clap::Subcommand;
use fleet_agent::{analysis, blobs::Blobs, cache::Cache, pack::Pack};
use serde::Serialize;

use super::{Context, output::Sink};
use crate::{
    data::DataDirectory,
    exit::Exit,
    journal::Journal,
    report::{
        Format,
        text::{bytes, grouped},
    },
    result::read_manifest,
};

/// The results that are kept of earlier analyses
#[derive(Subcommand)]
pub(super) enum CacheCommand {
    /// Shows what the cache holds
    Stats {
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Removes what no project's last result needs
    Gc {
        /// Says what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize)]
struct Stats {
    packs: u64,
    bytes: u64,
    records: u64,
    symbols: u64,
    /// Packs of another engine: they answer for nothing.
    outdated_packs: u64,
    /// Packs that no project's last result points to.
    unreferenced_packs: u64,
    unreferenced_bytes: u64,
    results: u64,
    result_bytes: u64,
}

impl CacheCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            CacheCommand::Stats { output } => stats(context, output),
            CacheCommand::Gc { dry_run } => collect(context, dry_run),
        }
    }
}

/// What the projects' last results and unfinished jobs stand on.
struct Live {
    packs: BTreeSet<Digest>,
    results: BTreeSet<Digest>,
}

fn live(data: &DataDirectory) -> anyhow::Result<Live> {
    let ledger = Journal::read(&data.journal())?.unwrap_or_default();
    let mut live = Live { packs: BTreeSet::new(), results: BTreeSet::new() };
    for last in ledger.projects.values().filter_map(|project| project.history.last()) {
        live.results.insert(last.manifest);
        live.packs.extend(read_manifest(data, last.manifest).map(|manifest| manifest.packs()).unwrap_or_default());
    }
    for job in ledger.jobs.values().filter(|job| !job.status.is_over()) {
        live.packs.extend(job.aggregate.iter().filter_map(pack_of));
        live.results.extend(job.spec.base);
    }
    Ok(live)
}

fn pack_of(outcome: &FileOutcome) -> Option<Digest> {
    match &outcome.result {
        FileResult::Analysed { record, .. } => Some(record.pack),
        FileResult::Skipped(_) | FileResult::Failed(_) => None,
    }
}

fn stats(context: &Context, output: Option<Format>) -> anyhow::Result<Exit> {
    let live = live(&context.data)?;
    let cache = Cache::open(context.data.root(), analysis::fingerprint())?;
    let results = Blobs::open(&context.data.manifests())?.list()?;
    let mut stats = Stats {
        packs: 0,
        bytes: 0,
        records: 0,
        symbols: 0,
        outdated_packs: 0,
        unreferenced_packs: 0,
        unreferenced_bytes: 0,
        results: results.len() as u64,
        result_bytes: results.iter().map(|(_, size)| size).sum(),
    };
    for (name, size) in cache.packs().list()? {
        stats.packs += 1;
        stats.bytes += size;
        if !live.packs.contains(&name) {
            stats.unreferenced_packs += 1;
            stats.unreferenced_bytes += size;
        }
        if let Ok(pack) = std::fs::read(cache.packs().path(name)).map_err(anyhow::Error::from).and_then(|bytes| Ok(Pack::open(bytes)?)) {
            stats.records += u64::from(pack.entries());
            stats.symbols += u64::from(pack.symbols());
            stats.outdated_packs += u64::from(pack.fingerprint() != cache.fingerprint());
        }
    }
    let mut out = Sink::open(None)?;
    if matches!(output, Some(Format::Json | Format::Ndjson)) {
        serde_json::to_writer(&mut out, &stats)?;
        writeln!(out)?;
    } else {
        writeln!(out, "packs         {:>12}  {}", grouped(stats.packs), bytes(stats.bytes))?;
        writeln!(out, "records       {:>12}", grouped(stats.records))?;
        writeln!(out, "symbols       {:>12}", grouped(stats.symbols))?;
        writeln!(out, "outdated      {:>12}  by another engine", grouped(stats.outdated_packs))?;
        writeln!(out, "unreferenced  {:>12}  {}", grouped(stats.unreferenced_packs), bytes(stats.unreferenced_bytes))?;
        writeln!(out, "results       {:>12}  {}", grouped(stats.results), bytes(stats.result_bytes))?;
    }
    out.close()?;
    Ok(Exit::Ok)
}

/// Holds the lock, so that no running job loses what it has just packed.
fn collect(context: &Context, dry_run: bool) -> anyhow::Result<Exit> {
    let _lock = context.data.lock(|holder| context.streams.note(&format!("waiting for bitacora (process {holder}) to end")))?;
    let live = live(&context.data)?;
    let mut removed = (0_u64, 0_u64);
    let stores =
        [(Cache::open(context.data.root(), analysis::fingerprint())?.packs().clone(), live.packs), (Blobs::open(&context.data.manifests())?, live.results)];
    for (blobs, needed) in stores {
        for (name, size) in blobs.list()?.into_iter().filter(|(name, _)| !needed.contains(name)) {
            removed = (removed.0 + 1, removed.1 + size);
            if !dry_run {
                blobs.remove(name)?;
            }
        }
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    context.streams.note(&format!("{verb} {} blobs, {}", grouped(removed.0), bytes(removed.1)));
    Ok(if dry_run && removed.0 > 0 { Exit::WouldChange } else { Exit::Ok })
}
