//! Results as people and programs read them. Nothing is computed here that is not in the result.

pub mod json;
pub mod table;
pub mod text;

use clap::ValueEnum;

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary for people
    Table,
    /// The summary with more columns and longer lists
    Wide,
    /// One JSON document
    Json,
    /// One JSON document a line
    Ndjson,
    /// Names only, one a line
    Name,
    /// Tab-separated, without colours
    Plain,
}

impl Format {
    /// A table on a terminal, plain text otherwise.
    pub fn or_for(given: Option<Format>, terminal: bool) -> Format {
        given.unwrap_or(if terminal { Format::Table } else { Format::Plain })
    }
}
