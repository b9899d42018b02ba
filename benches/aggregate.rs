//! How long a master takes to make one result of the partial results of a hundred sparks, a megabyte each on the wire: decode them,
//! take them in, write the manifest.
//!
//! Prints one JSON object: what was measured, the bar, and whether it is reached. The median of the rounds.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::{error::Error, time::Instant};

use bitacora::manifest::ManifestWriter;
use bitacora_core::{
    aggregate::Aggregate,
    ids::{Attempt, Digest, Epoch, JobId, SparkId},
    paths::RelativePath,
    time::{Span, Time},
    wire::{
        FromAgent,
        record::FileSummary,
        task::{FileOutcome, FileResult, RecordRef, SparkOutput},
    },
};
use fleet_agent::{analysis, blobs};

const PARTS: u32 = 100;
const PART_BYTES: usize = 1_000_000;
const SECONDS_MAX: f64 = 1.0;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let files_each = files_of(PART_BYTES)?;
    let parts = (0..PARTS).map(|part| Ok(rmp_serde::to_vec_named(&finished(part, files_each))?)).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let bytes: usize = parts.iter().map(Vec::len).sum();
    let paths = (0..PARTS * files_each).map(|file| RelativePath::new(format!("folder/f{file:09}.c").into_bytes())).collect::<Result<Vec<_>, _>>()?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut aggregate = Aggregate::default();
        for part in &parts {
            let FromAgent::Finished { output, .. } = rmp_serde::from_slice(part)? else { return Err("another message came back".into()) };
            output.files.into_iter().for_each(|outcome| aggregate.absorb(outcome));
        }
        let mut manifest = ManifestWriter::new(analysis::fingerprint(), Time(0), 0);
        for (index, path) in (0..).zip(&paths) {
            let outcome = aggregate.get(index).ok_or("an outcome is missing")?;
            manifest.push(path, outcome.stat, &outcome.result);
        }
        let (bytes, totals) = manifest.finish();
        seconds.push(begun.elapsed().as_secs_f64());
        assert_eq!((totals.files, bytes.is_empty()), (u64::from(PARTS * files_each), false), "every file is in the result");
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[ROUNDS / 2];
    println!(
        r#"{{"what": "{PARTS} partial results of {} files, {bytes} bytes in all, made one, s", "measured": {median:.3}, "bar": {SECONDS_MAX}, "reached": {}}}"#,
        files_each,
        median < SECONDS_MAX
    );
    Ok(())
}

/// So many outcomes have so many bytes on the wire.
fn files_of(bytes: usize) -> Result<u32, Box<dyn Error>> {
    let sample = 100;
    Ok((bytes * sample / rmp_serde::to_vec_named(&finished(0, sample as u32))?.len()) as u32)
}

fn finished(part: u32, files: u32) -> FromAgent {
    let outcome = |place: u32| {
        let index = part * files + place;
        let content = blobs::digest(&index.to_le_bytes());
        let summary = FileSummary { bytes: 12_345, symbols: 40, functions: 30, cyclomatic: 300, cognitive: 200, ..FileSummary::default() };
        let result = FileResult::Analysed { content, language: "c".into(), record: RecordRef { pack: Digest([part as u8; 32]), entry: place }, summary };
        FileOutcome { index, stat: None, result }
    };
    let spark = SparkId { job: JobId { epoch: Epoch(1), counter: 1 }, number: part };
    FromAgent::Finished { spark, attempt: Attempt(1), output: SparkOutput { files: (0..files).map(outcome).collect(), cached: 0, ended: None }, took: Span(0) }
}
