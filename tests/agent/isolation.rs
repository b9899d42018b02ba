//! A spark in a process of its own says of each file what it would say on a thread.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use bitacora_core::{
    ids::{Attempt, Digest, Epoch, JobId, SparkId},
    paths::RelativePath,
    wire::{
        message::Held,
        task::{Analysis, FailReason, FileLimits, FileResult, SkipReason, SparkOutput, TaskFile},
    },
};
use fleet_agent::{
    analysis, blobs,
    cache::{Cache, CacheIndex},
    isolation::{self, ChildCommand},
    sight::Sight,
    work::{Fetch, Supply, Worker},
};

const HELD: Held = Held { spark: SparkId { job: JobId { epoch: Epoch(1), counter: 1 }, number: 0 }, attempt: Attempt(1) };

fn child(data: &Path) -> ChildCommand {
    let arguments = vec!["--data-dir".into(), data.as_os_str().to_owned(), "run-spark".into()];
    ChildCommand { program: PathBuf::from(env!("CARGO_BIN_EXE_fleet-agent")), arguments }
}

fn file(index: u32, name: &str, content: Option<&[u8]>) -> TaskFile {
    TaskFile {
        index,
        path: RelativePath::new(name.into()).unwrap(),
        language: "python".into(),
        size: content.map_or(0, |content| content.len() as u64),
        content: content.map(blobs::digest),
    }
}

fn reasons(output: &SparkOutput) -> Vec<FileResult> {
    output.files.iter().map(|outcome| outcome.result.clone()).collect()
}

#[test]
fn files_that_are_gone_are_called_the_same_in_a_child() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (kept, lost, long) = (b"def kept(): pass\n".as_slice(), b"def lost(): pass\n".as_slice(), b"x = 1\n".repeat(100));
    let files = vec![file(0, "kept.py", Some(kept)), file(1, "lost.py", Some(lost)), file(2, "vanished.py", None), file(3, "long.py", Some(&long))];
    let limits = FileLimits { bytes_max: 500, ..FileLimits::default() };
    let task = Analysis { root: b"/nowhere".to_vec(), files, limits, ..Analysis::default() };
    let has = [kept.to_vec(), long];
    let fetch: Fetch = Arc::new(move |names: &[Digest]| Ok(names.iter().map(|name| has.iter().find(|bytes| blobs::digest(bytes) == *name).cloned()).collect()));
    let cache = Cache::open(here.path(), analysis::fingerprint()).unwrap();
    let (known, supply) = (CacheIndex::default(), Supply { fetch: Arc::clone(&fetch), sight: Sight::Nothing });
    let threaded = Worker::new(&cache, &known, Some(supply)).run(HELD, &task, &AtomicBool::new(false), &mut |_| {}).unwrap();
    let isolated = isolation::run_elsewhere(&child(there.path()), HELD, &task, &fetch, there.path(), &AtomicBool::new(false)).unwrap();
    assert_eq!(reasons(&isolated), reasons(&threaded));
    let expected = [FileResult::Failed(FailReason::Changing), FileResult::Failed(FailReason::Vanished), FileResult::Skipped(SkipReason::Oversized)];
    assert_eq!(reasons(&threaded)[1..], expected);
}
