//! Analyses a tree from Rust: the engine and the listing, without jobs, journal or cache.
//!
//! ```text
//! cargo run --example analyse -- PATH
//! ```

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::{path::PathBuf, sync::atomic::AtomicBool};

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
        let text = std::fs::read(root.join(file.path.to_text()))?;
        let Some(language) = LanguageIndex::by_name(language).or_else(|| classify::language_by_shebang(&text)) else { continue };
        if classify::skip_reason(&text, language).is_some() {
            continue;
        }
        let record = engine.analyse(&text, language, &limits, &cancel)?;
        println!("{:>6} {:>4}  {}", record.lines.code, record.cyclomatic, file.path.to_text());
    }
    Ok(())
}
