//! The command lines that were run from here, and what came of them.

use std::collections::VecDeque;

use bitacora_core::time::Time;

use super::words;

/// Older ones are forgotten.
const ENTRIES_MAX: usize = 200;
/// Lines of what a command has written so far, the latest; and those of commands that are over are kept for so many.
const TAIL_LINES_MAX: usize = 2000;
const TAILS_MAX: usize = 8;

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
    pub tail: Tail,
    pub after: After,
}

/// What a command has written lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    pub lines: VecDeque<String>,
    /// Lines before these.
    pub dropped: u64,
}

impl Tail {
    fn add(&mut self, text: &str, dropped: u64) {
        self.dropped += dropped;
        self.lines.extend(text.lines().map(str::to_owned));
        let surplus = self.lines.len().saturating_sub(TAIL_LINES_MAX);
        self.lines.drain(..surplus);
        self.dropped += surplus as u64;
    }
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
    /// It is read while it writes, and ended when nobody reads it any more.
    pub is_followed: bool,
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
        self.entries.push_front(Entry { number: self.last, at, line: words::join(command), outcome: None, tail: Tail::default(), after });
        self.last
    }

    pub fn end(&mut self, number: u32, outcome: Outcome) -> Option<&Entry> {
        let tails = self.entries.iter_mut().filter(|entry| entry.outcome.is_some() && !entry.tail.lines.is_empty());
        tails.skip(TAILS_MAX).for_each(|entry| entry.tail = Tail::default());
        let entry = self.entries.iter_mut().find(|entry| entry.number == number)?;
        entry.outcome = Some(outcome);
        if !entry.after.is_followed {
            entry.tail = Tail::default();
        }
        Some(entry)
    }

    /// A command that runs has written something more; `dropped` lines before it went by too fast.
    pub fn say(&mut self, number: u32, text: &str, dropped: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.number == number && entry.outcome.is_none()) {
            entry.tail.add(text, dropped);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_command_writes_the_latest_is_kept_and_the_rest_is_counted() {
        let mut log = Log::default();
        let number = log.begin(Time(0), &["spark".into()], After { is_followed: true, ..After::default() });
        (0..TAIL_LINES_MAX + 5).for_each(|line| log.say(number, &format!("line {line}\n"), 0));
        log.say(number, "last", 7);
        let tail = &log.entry(number).unwrap().tail;
        assert_eq!((tail.lines.len(), tail.dropped), (TAIL_LINES_MAX, 5 + 1 + 7));
        assert_eq!((tail.lines[0].as_str(), tail.lines.back().unwrap().as_str()), ("line 6", "last"));
        for _ in 0..TAILS_MAX * 2 {
            let number = log.begin(Time(0), &[], After { is_followed: true, ..After::default() });
            log.say(number, "one", 0);
            log.end(number, Outcome { code: None, text: String::new() });
        }
        assert!(log.entries().iter().filter(|entry| !entry.tail.lines.is_empty()).count() <= TAILS_MAX + 2);
    }
}
