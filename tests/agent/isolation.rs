//! What is parsed in a process of its own is as it would be on a thread.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bitacora_core::{
    ids::{Attempt, Digest, Epoch, JobId, SparkId},
    paths::RelativePath,
    time::Span,
    wire::{
        message::Held,
        task::{Analysis, AttemptError, FailReason, FileLimits, FileResult, SkipReason, SparkOutput, TaskFile},
    },
};
use fleet_agent::{
    analysis, blobs,
    cache::{Cache, CacheIndex},
    isolation::{Child, ChildCommand},
    sight::Sight,
    work::{Fetch, Hands, Supply, Worker},
};

const HELD: Held = Held { spark: SparkId { job: JobId { epoch: Epoch(1), counter: 1 }, number: 0 }, attempt: Attempt(1) };

fn child() -> ChildCommand {
    ChildCommand { program: PathBuf::from(env!("CARGO_BIN_EXE_fleet-agent")), arguments: vec!["run-parser".into()] }
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

/// What comes of files that are brought, and the packs that they left.
fn run(hands: Hands, contents: &[&[u8]], task: &Analysis) -> (Result<SparkOutput, AttemptError>, BTreeSet<OsString>) {
    let folder = tempfile::tempdir().unwrap();
    let has: Vec<Vec<u8>> = contents.iter().map(|bytes| bytes.to_vec()).collect();
    let fetch: Fetch = Arc::new(move |names: &[Digest]| Ok(names.iter().map(|name| has.iter().find(|bytes| blobs::digest(bytes) == *name).cloned()).collect()));
    let cache = Cache::open(folder.path(), analysis::fingerprint()).unwrap();
    let (known, supply) = (CacheIndex::default(), Supply { fetch, sight: Sight::Nothing });
    let output = Worker::new(hands, &cache, &known, Some(supply)).run(HELD, task, &AtomicBool::new(false), &mut |_| {});
    let packs = walk(cache.packs().folder());
    (output, packs)
}

fn walk(folder: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { BTreeSet::from([path.file_name().unwrap().to_owned()]) }).collect()
}

#[test]
fn a_child_makes_the_same_pack_byte_for_byte_and_calls_what_is_gone_the_same() {
    let (kept, lost, long) = (b"def kept(): pass\n".as_slice(), b"def lost(): pass\n".as_slice(), b"x = 1\n".repeat(100));
    let nested = b"class A:\n    def f(self, \xc3\xa9):\n        if a and b:\n            import x\n".as_slice();
    let files = vec![
        file(0, "kept.py", Some(kept)),
        file(1, "lost.py", Some(lost)),
        file(2, "vanished.py", None),
        file(3, "long.py", Some(&long)),
        file(4, "nested.py", Some(nested)),
    ];
    let limits = FileLimits { bytes_max: 500, ..FileLimits::default() };
    let task = Analysis { root: b"/nowhere".to_vec(), files, limits, ..Analysis::default() };
    let contents = [kept, &long, nested];
    let (threaded, threaded_packs) = run(Hands::own(), &contents, &task);
    let (apart, packs) = run(Hands::child(&child()), &contents, &task);
    assert_eq!((apart.unwrap(), packs.len()), (threaded.clone().unwrap(), 1));
    assert_eq!(packs, threaded_packs, "they are named by what is in them");
    let expected = [FileResult::Failed(FailReason::Changing), FileResult::Failed(FailReason::Vanished), FileResult::Skipped(SkipReason::Oversized)];
    assert_eq!(reasons(&threaded.unwrap())[1..4], expected);
}

#[test]
fn what_takes_more_steps_than_it_may_is_the_same_in_a_child() {
    let long = b"x = [1, 2, 3]\n".repeat(10_000);
    let limits = FileLimits { parse_steps_max: 10, ..FileLimits::default() };
    let task = Analysis { root: b"/nowhere".to_vec(), files: vec![file(0, "long.py", Some(&long))], limits, ..Analysis::default() };
    let [own, apart] = [Hands::own(), Hands::child(&child())].map(|hands| run(hands, &[&long], &task).0.unwrap());
    assert_eq!(own, apart);
    assert_eq!(reasons(&own), [FileResult::Failed(FailReason::TooComplex)]);
}

#[test]
fn a_child_that_dies_or_talks_nonsense_is_the_works_failure_and_one_that_cannot_begin_is_not() {
    let text = b"def kept(): pass\n".as_slice();
    let task = Analysis { root: b"/nowhere".to_vec(), files: vec![file(0, "kept.py", Some(text))], ..Analysis::default() };
    let as_child = |script: &str| Hands::child(&ChildCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] });
    let end = |hands| run(hands, &[text], &task).0.unwrap_err();
    assert_eq!(end(as_child("kill -ABRT $$")), AttemptError::Crashed("signal 6".into()));
    assert!(matches!(end(as_child("cat >/dev/null & printf '\\377\\377\\377\\377'; sleep 60")), AttemptError::Crashed(_)));
    assert!(matches!(end(as_child("exit 3")), AttemptError::Storage(_)));
    assert!(matches!(end(Hands::child(&ChildCommand { program: "/nowhere".into(), arguments: Vec::new() })), AttemptError::Storage(_)));
}

#[test]
fn a_child_that_hangs_ends_when_nobody_wants_its_answer_any_more() {
    let mut hung = Child::start(&ChildCommand { program: "/bin/sleep".into(), arguments: vec!["600".into()] }).unwrap();
    let cancel = AtomicBool::new(false);
    let python = analysis::LanguageIndex::by_name("python").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            cancel.store(true, Ordering::Relaxed);
        });
        hung.ask(b"x = 1\n", python, &FileLimits::default(), &cancel).unwrap();
        let asked = hung.answer(&cancel);
        assert_eq!(asked.unwrap_err(), AttemptError::Cancelled);
    });
}

#[test]
fn a_grammar_that_hangs_costs_its_file_where_it_was_alone_and_its_spark_where_it_was_not() {
    let texts = [b"x = 1\n".as_slice(), b"y = 1\n"];
    let limits = FileLimits { wall_max: Span(0), ..FileLimits::default() };
    let files = vec![file(0, "x.py", Some(texts[0])), file(1, "y.py", Some(texts[1]))];
    let task = Analysis { root: b"/nowhere".to_vec(), files, limits, ..Analysis::default() };
    let hangs = ChildCommand { program: "/bin/sleep".into(), arguments: vec!["600".into()] };
    assert_eq!(run(Hands::child(&hangs), &texts, &task).0, Err(AttemptError::TimedOut));
    let alone = run(Hands::suspicious(&hangs), &texts, &task).0.unwrap();
    assert_eq!(reasons(&alone), [FileResult::Failed(FailReason::TimedOut), FileResult::Failed(FailReason::TimedOut)]);
}

#[test]
fn files_are_answered_for_in_their_order_however_many_are_ahead() {
    let texts: Vec<Vec<u8>> =
        (0..40).map(|number: u32| format!("def f{number}():\n    return {number}\n").repeat(1 + number as usize * 37 % 900).into_bytes()).collect();
    let files = (0..).zip(&texts).map(|(number, text)| file(number, &format!("{number}.py"), Some(text))).collect();
    let task = Analysis { root: b"/nowhere".to_vec(), files, ..Analysis::default() };
    let contents: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let [own, apart, alone] = [Hands::own(), Hands::child(&child()), Hands::suspicious(&child())].map(|hands| run(hands, &contents, &task));
    assert!(own == apart && own == alone && own.0.unwrap().files.len() == 40);
}

#[test]
fn a_child_that_does_not_read_is_no_end_of_waiting() {
    let mut deaf = Child::start(&ChildCommand { program: "/bin/sleep".into(), arguments: vec!["600".into()] }).unwrap();
    let python = analysis::LanguageIndex::by_name("python").unwrap();
    let text = b"x = 1\n".repeat(1 << 20);
    let limits = FileLimits { wall_max: Span(0), ..FileLimits::default() };
    assert_eq!(deaf.ask(&text, python, &limits, &AtomicBool::new(false)), Err(AttemptError::TimedOut));
    let mut deaf = Child::start(&ChildCommand { program: "/bin/sleep".into(), arguments: vec!["600".into()] }).unwrap();
    assert_eq!(deaf.ask(&text, python, &limits, &AtomicBool::new(true)), Err(AttemptError::Cancelled));
}

#[test]
fn a_child_that_drips_runs_out_of_time_and_one_that_promises_too_much_is_not_believed() {
    let text = b"def kept(): pass\n".as_slice();
    let limits = FileLimits { wall_max: Span(0), ..FileLimits::default() };
    let task = Analysis { root: b"/nowhere".to_vec(), files: vec![file(0, "kept.py", Some(text))], limits, ..Analysis::default() };
    let as_child = |script: &str| Hands::child(&ChildCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] });
    let end = |hands| run(hands, &[text], &task).0.unwrap_err();
    // A message of a million bytes, one at a time.
    assert_eq!(end(as_child("printf '\\000\\000\\020\\000'; while :; do printf x; sleep 0.01; done")), AttemptError::TimedOut);
    // {"Ok": [2^31, 0, a summary]} as MessagePack: more than any record has.
    let promise = "printf '\\030\\000\\000\\000\\201\\242Ok\\223\\316\\200\\000\\000\\000\\000\\230\\000\\224\\000\\000\\000\\000\\000\\000\\000\\000\\000\\220'; sleep 60";
    assert!(matches!(end(as_child(promise)), AttemptError::Crashed(_)));
}
