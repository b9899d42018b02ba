//! Where facts are kept: append a batch only if the last sequence and epoch are the expected ones, read it back.

mod embedded;

use bitacora_core::fleet::{Fact, Ledger};
pub use embedded::Journal;

/// The version of the records written today; every earlier one stays readable, a later one is refused.
pub const RECORD_VERSION: u32 = 1;

/// Facts after the newest snapshot beyond which the next quiet moment takes another one.
pub const SNAPSHOT_AFTER: u64 = 64;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {operation} the journal {path}")]
    Store { operation: &'static str, path: std::path::PathBuf, source: rusqlite::Error },
    #[error("the journal {path} is of version {found}; this program reads up to version {known}. Use a newer bitacora")]
    Newer { path: std::path::PathBuf, found: u32, known: u32 },
    #[error("record {sequence} of the journal {path} cannot be read: {reason}")]
    Damaged { path: std::path::PathBuf, sequence: u64, reason: String },
    #[error("another master has written to the journal {path}: expected record {expected} to be the last, found {found}")]
    Overtaken { path: std::path::PathBuf, expected: u64, found: u64 },
}

/// A journal as it was found.
#[derive(Debug)]
pub struct Recovered {
    pub ledger: Ledger,
    /// Facts read after the snapshot.
    pub replayed: u64,
}

/// Rebuilds the state: a snapshot and what came after it.
fn replay(mut ledger: Ledger, facts: impl Iterator<Item = Result<Fact, JournalError>>) -> Result<Recovered, JournalError> {
    let mut replayed = 0;
    for fact in facts {
        ledger.apply(&fact?);
        replayed += 1;
    }
    Ok(Recovered { ledger, replayed })
}
