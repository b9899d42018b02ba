//! The command lines that were run from here, and what came of them.

use std::collections::VecDeque;

use bitacora_core::time::Time;

use super::words;

/// Older ones are forgotten.
const ENTRIES_MAX: usize = 200;

#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The newest first.
    entries: VecDeque<Entry>,
    last: u32,
}

/// A command line that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: u32,
    pub at: Time,
    /// As a person would type it.
    pub line: String,
    /// `None` while it runs.
    pub outcome: Option<Outcome>,
    pub after: After,
}

/// What is done when a command is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct After {
    /// What it was about, and what is said of that when it went well; without it, what the command wrote is shown.
    pub done: Option<(String, &'static str)>,
    /// The command line that takes it back.
    pub undo: Option<Vec<String>>,
    /// The first one of those that were asked for at once.
    pub batch: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `None` for one that was ended, or could not be begun.
    pub code: Option<i32>,
    /// What it wrote, to both streams.
    pub text: String,
}

impl Outcome {
    pub fn went_well(&self) -> bool {
        self.code == Some(0)
    }

    /// Its last word.
    pub fn last_line(&self) -> &str {
        self.text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing")
    }
}

impl Log {
    pub fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    pub fn begin(&mut self, at: Time, command: &[String], after: After) -> u32 {
        self.last += 1;
        self.entries.truncate(ENTRIES_MAX - 1);
        self.entries.push_front(Entry { number: self.last, at, line: words::join(command), outcome: None, after });
        self.last
    }

    pub fn end(&mut self, number: u32, outcome: Outcome) -> Option<&Entry> {
        let entry = self.entries.iter_mut().find(|entry| entry.number == number)?;
        entry.outcome = Some(outcome);
        Some(entry)
    }

    /// The number of the next one.
    pub fn next_number(&self) -> u32 {
        self.last + 1
    }

    /// Those that were asked for at once and are remembered, in their order.
    pub fn batch(&self, batch: u32) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev().filter(move |entry| entry.after.batch == Some(batch))
    }

    pub fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.number == number)
    }
}
