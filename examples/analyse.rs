//! Analyses a tree from Rust: the engine and the listing, without jobs, journal or cache.
//!
//! ```text
//! cargo run --example analyse -- PATH
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are the output")]

use std::{os::unix::ffi::OsStrExt, path::PathBuf, sync::atomic::AtomicBool};

use bitacora_core::wire::task::FileLimits;
use fleet_agent::{
    analysis::{Engine, LanguageIndex, classify},
    listing::{self, Verdict},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::args().nth(1).ok_or("usage: analyse PATH")?);
    let (limits, cancel) = (FileLimits::default(), AtomicBool::new(false));
    let mut engine = Engine::default();
    for file in listing::list(&root, 1, limits.bytes_max)?.files {
        let Verdict::Candidate(language) = file.verdict else { continue };
        let text = std::fs::read(root.join(std::ffi::OsStr::from_bytes(file.path.as_bytes())))?;
        let Some(language) = LanguageIndex::by_name(language).or_else(|| classify::language_by_shebang(&text)) else { continue };
        if classify::skip_reason(&text, language).is_some() {
            continue;
        }
        match engine.analyse(&text, language, &limits, &cancel) {
            Ok(record) => println!("{:>6} {:>4}  {:?}", record.lines.code, record.cyclomatic, file.path),
            Err(error) => eprintln!("{:?}: {error}", file.path),
        }
    }
    Ok(())
}
