//! The engine: one file in, one record out.
//!
//! One parse and one walk over the tree give symbols, imports and metrics. The engine knows nothing of folders, caches
//! or fleets; it is given bytes and a language. It never recurses over a tree, so nesting costs memory and no stack.

mod arena;
pub mod classify;
mod fault;
mod functions;
mod halstead;
mod kinds;
pub mod languages;
mod lines;
mod paging;
mod rescue;
mod symbols;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    ops::ControlFlow,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bitacora_core::{
    ids::Digest,
    wire::{record::FileRecord, task::FileLimits},
};
use serde::{Deserialize, Serialize};
use tree_sitter::{ParseOptions, Parser, Tree};

use self::{kinds::Kinds, languages::LANGUAGES, walk::Walk};

/// Calls of the parser's progress callback between two looks at the clock.
const STEPS_PER_LOOK: u64 = 1024;

/// Why a file has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AnalysisError {
    #[error("the parser took more than {0} steps")]
    TooComplex(u64),
    #[error("it would hold more than {0} bytes")]
    TooLarge(usize),
    #[error("it took longer than {0:?}")]
    TimedOut(Duration),
    #[error("the analysis was cancelled")]
    Cancelled,
    /// It ran out of time without a look at it.
    #[error("the grammar hung")]
    Hung,
}

/// The index of a language in [`LANGUAGES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanguageIndex(usize);

impl LanguageIndex {
    pub fn by_name(name: &str) -> Option<LanguageIndex> {
        LANGUAGES.iter().position(|language| language.name == name).map(LanguageIndex)
    }

    pub fn name(self) -> &'static str {
        LANGUAGES[self.0].name
    }

    pub fn grammar(self) -> tree_sitter::Language {
        (LANGUAGES[self.0].grammar)()
    }
}

/// One thread's engine. Buffers are reused from file to file; nothing of a file stays.
#[derive(Default)]
pub struct Engine {
    walk: walk::Buffers,
    /// Bytes that it was given so far.
    given: usize,
}

impl Engine {
    /// Parses and measures `text`. `cancel` and the clock are looked at regularly.
    pub fn analyse(&mut self, text: &[u8], language: LanguageIndex, limits: &FileLimits, cancel: &AtomicBool) -> Result<FileRecord, AnalysisError> {
        let watch = Watch { cancel, begun: Instant::now(), wall_max: Duration::from_micros(limits.wall_max.0) };
        self.given = self.given.saturating_add(text.len());
        if self.given >= paging::WORTH_FROM_BYTES {
            paging::bring_in();
        }
        arena::scope(|| {
            let tree = parse(text, language, limits.parse_steps_max, &watch)?;
            let record = Walk::new(text, LANGUAGES[language.0], kinds_of(language), &mut self.walk, &watch).record(&tree);
            arena::leave_behind(tree);
            record
        })
    }
}

/// What ends the analysis of a file from outside.
struct Watch<'a> {
    cancel: &'a AtomicBool,
    begun: Instant,
    wall_max: Duration,
}

impl Watch<'_> {
    fn look(&self) -> Result<(), AnalysisError> {
        match () {
            () if self.cancel.load(Ordering::Relaxed) => Err(AnalysisError::Cancelled),
            () if self.begun.elapsed() > self.wall_max => Err(AnalysisError::TimedOut(self.wall_max)),
            () => Ok(()),
        }
    }
}

fn parse(text: &[u8], language: LanguageIndex, steps_max: u64, watch: &Watch<'_>) -> Result<Tree, AnalysisError> {
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()).expect("the grammars' versions are pinned to this tree-sitter");
    let (mut steps, mut error) = (0_u64, None);
    let mut progress = |_: &tree_sitter::ParseState| {
        steps += 1;
        error = match () {
            () if steps > steps_max => Some(AnalysisError::TooComplex(steps_max)),
            () if watch.cancel.load(Ordering::Relaxed) => Some(AnalysisError::Cancelled),
            () if steps.is_multiple_of(STEPS_PER_LOOK) => watch.look().err(),
            () => None,
        };
        if error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let read = &mut |offset: usize, _| {
        fault::abort_if_asked(text);
        text.get(offset..).unwrap_or_default()
    };
    let tree = parser.parse_with_options(read, None, Some(ParseOptions::new().progress_callback(&mut progress)));
    tree.ok_or_else(|| error.expect("only the callback stops a parser that has a language"))
}

/// Tables are compiled at first use and kept.
fn kinds_of(language: LanguageIndex) -> &'static Kinds {
    static KINDS: [OnceLock<Kinds>; LANGUAGES.len()] = [const { OnceLock::new() }; LANGUAGES.len()];
    KINDS[language.0].get_or_init(|| Kinds::compile(LANGUAGES[language.0]))
}

/// The sources of the engine and the grammars' versions, hashed when the program is built.
pub const ENGINE: &str = env!("BITACORA_ENGINE");

/// Everything besides content and language that decides a record.
pub fn fingerprint() -> Digest {
    Digest(*blake3::hash(concat!("bitacora engine ", env!("BITACORA_ENGINE")).as_bytes()).as_bytes())
}
