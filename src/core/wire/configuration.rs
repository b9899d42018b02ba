//! What a master changes of a node's configuration from afar, and what came of it.
//!
//! A change is on trial until the master has heard from the node that lives by it. A node that hears no such word in time
//! goes back to what it had: it may be that very change that keeps the two apart.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// A whole configuration; those of people have a few hundred bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// How long a node waits for the master's word: a link that broke is dialled again in a third of it.
pub const TRIAL_MAX: Span = Span::from_secs(15);
/// Keys that a node may say to be changeable.
pub const KEYS_MAX: usize = 16;

/// What became of a change, by the number that the master gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    pub revision: u64,
    pub outcome: ConfigurationOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurationOutcome {
    /// The node lives by it.
    Applied,
    /// Nothing was changed.
    Refused { reason: String },
    /// The master's word did not come in time, and the node lives by what it had before.
    RolledBack,
}
