//! How long a master takes to find that somebody has analysed a content before: in the rows of a last result whose packs are with
//! the nodes, in packs that are here, and not at all.
//!
//! ```text
//! lookup [FILES] [FILES A PACK]
//! ```
//!
//! Prints one JSON object per bar: what was measured, the bar, and whether it is reached.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    time::Instant,
};

use bitacora::{
    manifest::{Manifest, ManifestWriter},
    scan::Found,
};
use bitacora_core::{
    ids::Digest,
    paths::RelativePath,
    time::Time,
    wire::{
        record::{FileRecord, Symbol, SymbolKind},
        task::{FileResult, RecordRef},
    },
};
use fleet_agent::{analysis, blobs, cache::Cache, pack::PackWriter};

/// At the 99th of a hundred.
const LOOKUP_SECONDS_MAX: f64 = 0.005;
/// As many as a file of some hundred lines has.
const SYMBOLS: usize = 40;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let numbers = arguments.map(|argument| argument.parse::<u32>()).collect::<std::result::Result<Vec<_>, _>>()?;
    let (files, per_pack) = (numbers.first().copied().unwrap_or(60_000), numbers.get(1).copied().unwrap_or(200));
    let folder = tempfile::tempdir()?;
    let cache = Cache::open(folder.path(), analysis::fingerprint())?;
    let mut result = ManifestWriter::new(analysis::fingerprint(), Time(0), 0);
    let mut held = HashSet::new();
    let numbers: Vec<u32> = (0..files).collect();
    for (place, numbers) in numbers.chunks(per_pack.max(1) as usize).enumerate() {
        let mut pack = PackWriter::new(analysis::fingerprint());
        let records: Vec<FileRecord> = numbers.iter().map(|number| record(*number)).collect();
        for (number, record) in numbers.iter().zip(&records) {
            pack.add(content(*number), record);
        }
        let bytes = pack.finish();
        let name = blobs::digest(&bytes);
        // Half of them are with the nodes alone, and in the last result; the others are here, and in no result any more.
        if place % 2 == 1 {
            cache.keep(&bytes)?;
            continue;
        }
        held.insert(name);
        for (entry, (number, record)) in (0..).zip(numbers.iter().zip(&records)) {
            let reference = RecordRef { pack: name, entry };
            let outcome = FileResult::Analysed { content: content(*number), language: "c".into(), record: reference, summary: record.summary() };
            result.push(&RelativePath::new(format!("f{number:09}.c").into_bytes())?, None, &outcome);
        }
    }
    let begun = HashMap::new();
    let opened = Instant::now();
    let found = Found::among(&cache, vec![Manifest::open(result.finish().0)?], &held, &begun);
    println!(r#"{{"what": "looking through {files} records first, s", "measured": {:.4}}}"#, opened.elapsed().as_secs_f64());
    // In an order that has nothing to do with that of the packs.
    let asked = (0..files).map(|number| content(number.wrapping_mul(2_654_435_761) % (files + files / 10)));
    let mut hits = 0;
    let mut seconds: Vec<f64> = asked
        .map(|content| {
            let begun = Instant::now();
            hits += u32::from(found.outcome(Digest::default(), content, "c").is_some());
            begun.elapsed().as_secs_f64()
        })
        .collect();
    assert!(hits > files / 2 && hits < files, "most are known and some are not: {hits} of {files}");
    seconds.sort_by(f64::total_cmp);
    let at = |percent: usize| seconds[(seconds.len() * percent / 100).min(seconds.len() - 1)];
    println!(r#"{{"what": "cache look-up, median, s", "measured": {:.7}}}"#, at(50));
    println!(r#"{{"what": "cache look-up, p99, s", "measured": {:.7}, "bar": {LOOKUP_SECONDS_MAX}, "reached": {}}}"#, at(99), at(99) < LOOKUP_SECONDS_MAX);
    Ok(())
}

fn content(number: u32) -> Digest {
    blobs::digest(&number.to_le_bytes())
}

fn record(number: u32) -> FileRecord {
    let symbol = |place: usize| Symbol {
        name: format!("function_{number}_{place}"),
        kind: SymbolKind::Function,
        line: 1,
        column: 1,
        end_line: 2,
        container: String::new(),
        visibility: String::new(),
        signature: format!("int function_{number}_{place}(int a, char *b)"),
    };
    FileRecord { language: "c".into(), symbols: (0..SYMBOLS).map(symbol).collect(), ..FileRecord::default() }
}
