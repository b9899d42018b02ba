//! The engine without anything around it, and the parser without the engine: what `benches/run.py` compares with.
//!
//! ```text
//! engine bare|engine THREADS < list
//! ```
//!
//! The list on stdin has a language, a tab and a path a line. Prints the wall and CPU seconds of the work as JSON.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::{
    io::BufRead,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Instant,
};

use bitacora_core::wire::task::FileLimits;
use fleet_agent::analysis::{Engine, LanguageIndex};

struct Source {
    language: LanguageIndex,
    path: PathBuf,
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mode = arguments.next().expect("bare or engine");
    let threads: usize = arguments.next().map_or(1, |threads| threads.parse().expect("a number of threads"));
    let sources: Vec<Source> = std::io::stdin().lock().lines().map(|line| source(&line.expect("a line"))).collect();
    let next = AtomicUsize::new(0);
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let found: usize = std::thread::scope(|scope| {
        let run = || match mode.as_str() {
            "bare" => bare(&sources, &next),
            "engine" => engine(&sources, &next),
            other => panic!("{other}: bare or engine"),
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    println!(r#"{{"wall":{:.4},"cpu":{:.4},"files":{},"found":{found}}}"#, wall.elapsed().as_secs_f64(), cpu_seconds() - cpu, sources.len());
}

fn source(line: &str) -> Source {
    let (language, path) = line.split_once('\t').expect("a language, a tab and a path");
    Source { language: LanguageIndex::by_name(language).expect("a language"), path: path.into() }
}

fn each(sources: &[Source], next: &AtomicUsize, mut work: impl FnMut(&Source, &[u8]) -> usize) -> usize {
    let mut buffer = Vec::new();
    let mut found = 0;
    while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
        buffer.clear();
        std::io::Read::read_to_end(&mut std::fs::File::open(&source.path).expect("the file opens"), &mut buffer).expect("the file can be read");
        found += work(source, &buffer);
    }
    found
}

/// tree-sitter's own parse with the system's allocator: no arena is ever installed in this mode.
fn bare(sources: &[Source], next: &AtomicUsize) -> usize {
    let mut parser = tree_sitter::Parser::new();
    each(sources, next, |source, text| {
        parser.set_language(&source.language.grammar()).expect("the grammar fits");
        parser.parse(text, None).map_or(0, |tree| tree.root_node().child_count() as usize)
    })
}

fn engine(sources: &[Source], next: &AtomicUsize) -> usize {
    let mut engine = Engine::default();
    let (limits, cancel) = (FileLimits::default(), AtomicBool::new(false));
    each(sources, next, |source, text| engine.analyse(text, source.language, &limits, &cancel).map_or(0, |record| record.symbols.len()))
}

/// User and system time of this process, from the kernel's own account.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("a number")).sum();
    ticks as f64 / 100.0
}
