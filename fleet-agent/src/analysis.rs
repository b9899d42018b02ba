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
use tree_sitter::{ParseOptions, Parser, Tree};

use self::{kinds::Kinds, languages::LANGUAGES, walk::Walk};

/// Why a file has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnalysisError {
    #[error("the parser took more than {0} steps")]
    TooComplex(u64),
    #[error("its record would hold more than {0} bytes")]
    TooLarge(usize),
    #[error("the parser took longer than {0:?}")]
    TimedOut(Duration),
    #[error("the analysis was cancelled")]
    Cancelled,
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
}

impl Engine {
    /// Parses and measures `text`. `cancel` is looked at regularly while the parser runs.
    pub fn analyse(&mut self, text: &[u8], language: LanguageIndex, limits: &FileLimits, cancel: &AtomicBool) -> Result<FileRecord, AnalysisError> {
        arena::scope(|| {
            let tree = parse(text, language, limits, cancel)?;
            Walk::new(text, LANGUAGES[language.0], kinds_of(language), &mut self.walk, cancel).record(&tree)
        })
    }
}

fn parse(text: &[u8], language: LanguageIndex, limits: &FileLimits, cancel: &AtomicBool) -> Result<Tree, AnalysisError> {
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()).expect("the grammars' versions are pinned to this tree-sitter");
    let wall_max = Duration::from_micros(limits.wall_max.0);
    let begun = Instant::now();
    let (mut steps, mut error) = (0, None);
    let mut watch = |_: &tree_sitter::ParseState| {
        steps += 1;
        error = match () {
            () if steps > limits.parse_steps_max => Some(AnalysisError::TooComplex(limits.parse_steps_max)),
            () if cancel.load(Ordering::Relaxed) => Some(AnalysisError::Cancelled),
            () if steps % 1024 == 0 && begun.elapsed() > wall_max => Some(AnalysisError::TimedOut(wall_max)),
            () => None,
        };
        if error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let read = &mut |offset: usize, _| {
        fault::abort_if_asked(text);
        text.get(offset..).unwrap_or_default()
    };
    let tree = parser.parse_with_options(read, None, Some(ParseOptions::new().progress_callback(&mut watch)));
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
