//! `bitacora cache …`.

mod warm;

use clap::Subcommand;
use fleet_agent::{analysis, blobs::Blobs, cache::Cache};
use serde::Serialize;

use super::{Context, manner::Trial, output::write_items};
use crate::{
    control::{self, Answer, Request},
    exit::Exit,
    journal::Journal,
    report::{
        Format,
        table::Column,
        text::{bytes, counted, grouped},
    },
    result::{Extent, Needed, Swept, sweep},
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
    Gc(Trial),
    Warm(warm::Warm),
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
            CacheCommand::Gc(trial) => collect(context, trial.dry_run),
            CacheCommand::Warm(command) => command.run(context),
        }
    }
}

fn stats(context: &Context, output: Option<Format>) -> anyhow::Result<Exit> {
    let needed = Needed::of(&context.data, &Journal::read(&context.data.journal())?.unwrap_or_default())?;
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
        if !needed.packs.contains(&name) {
            stats.unreferenced_packs += 1;
            stats.unreferenced_bytes += size;
        }
        if let Ok(pack) = cache.records(name) {
            stats.records += u64::from(pack.len());
            stats.symbols += u64::from(pack.symbols());
            stats.outdated_packs += u64::from(pack.fingerprint() != cache.fingerprint());
        }
    }
    let format = Format::or_for(output, context.streams.stdout_is_terminal);
    let rows = stats.rows(format == Format::Plain);
    write_items(context, Some(format), "cache", &[stats], &[Column::Text("What"), Column::Number("Count"), Column::Number("Size")], rows, |_| "cache")
}

impl Stats {
    fn rows(&self, plain: bool) -> Vec<Vec<String>> {
        let rows = [
            ("packs", self.packs, Some(self.bytes)),
            ("records", self.records, None),
            ("symbols", self.symbols, None),
            ("packs of another engine", self.outdated_packs, None),
            ("packs no result needs", self.unreferenced_packs, Some(self.unreferenced_bytes)),
            ("results", self.results, Some(self.result_bytes)),
        ];
        let count = |count: u64| if plain { count.to_string() } else { grouped(count) };
        let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), |size| if plain { size.to_string() } else { bytes(size) });
        rows.into_iter().map(|(what, number, extent)| vec![what.to_owned(), count(number), size(extent)]).collect()
    }
}

fn collect(context: &Context, dry_run: bool) -> anyhow::Result<Exit> {
    let read = || Journal::read(&context.data.journal()).map(Option::unwrap_or_default);
    if dry_run {
        let swept = sweep(&context.data, &read()?, Extent::Nothing)?;
        context.streams.note(&format!("would remove {}, {}", counted(swept.files, "file"), bytes(swept.bytes)));
        return Ok(if swept.files > 0 { Exit::WouldChange } else { Exit::Ok });
    }
    let mut removed = Swept { more: true, ..Swept::default() };
    while removed.more {
        // A master that stays does it itself; one that ends with its command is waited for.
        let swept = match control::ask(&context.data.control(), &Request::Sweep) {
            Ok(Some(Answer::Swept { files, bytes, more })) => Swept { files, bytes, more },
            Ok(Some(refused @ Answer::Refused(_))) => return Ok(context.streams.conclude(&refused)),
            Ok(_) | Err(_) => {
                let _lock = context.data.lock(|holder| context.streams.note(&format!("waiting for bitacora (process {holder}) to end")))?;
                sweep(&context.data, &read()?, Extent::All)?
            }
        };
        removed = Swept { files: removed.files + swept.files, bytes: removed.bytes + swept.bytes, more: swept.more };
    }
    context.streams.note(&format!("removed {}, {}", counted(removed.files, "file"), bytes(removed.bytes)));
    Ok(Exit::Ok)
}
