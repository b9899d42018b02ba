//! Merging partial results: the same bytes in whatever order they arrive, however often, from however many nodes.
//!
//! [`Aggregate::absorb`] is associative, commutative and idempotent. A second, equal result for a file is a duplicate
//! and changes nothing; a second, different one is a conflict, and the file is reported as such.

use alloc::{collections::BTreeMap, string::String};

use serde::{Deserialize, Serialize};

use crate::wire::{
    record::{FileSummary, Lines},
    task::{FailReason, FileOutcome, FileResult, FileStat, RecordRef},
};

/// The outcomes of a job's files so far, by the file's number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    outcomes: BTreeMap<u32, FileOutcome>,
    duplicates: u32,
}

impl Aggregate {
    pub fn absorb(&mut self, outcome: FileOutcome) {
        match self.outcomes.remove(&outcome.index) {
            None => {
                self.outcomes.insert(outcome.index, outcome);
            }
            Some(present) => {
                self.duplicates += 1;
                self.outcomes.insert(outcome.index, reconcile(present, outcome));
            }
        }
    }

    /// Takes in what a second answer says otherwise: neither is believed from then on.
    pub fn dispute(&mut self, outcome: FileOutcome) {
        if let Some(counted) = self.outcomes.remove(&outcome.index) {
            self.outcomes.insert(outcome.index, reconcile(counted, outcome));
        }
    }

    pub fn get(&self, index: u32) -> Option<&FileOutcome> {
        self.outcomes.get(&index)
    }

    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Results that arrived for a file that had one.
    pub fn duplicates(&self) -> u32 {
        self.duplicates
    }

    pub fn iter(&self) -> impl Iterator<Item = &FileOutcome> {
        self.outcomes.values()
    }
}

/// One outcome from two for the same file, whichever came first.
fn reconcile(a: FileOutcome, b: FileOutcome) -> FileOutcome {
    let stat = later(a.stat, b.stat);
    let result = match (a.result, b.result) {
        (FileResult::Analysed { content, language, record, summary }, FileResult::Analysed { content: c, language: l, record: r, summary: s })
            if (content, &language, &summary) == (c, &l, &s) =>
        {
            FileResult::Analysed { content, language, record: lesser(record, r), summary }
        }
        (a, b) if a == b => a,
        _ => FileResult::Failed(FailReason::Conflict),
    };
    FileOutcome { index: a.index, stat, result }
}

/// Can two outcomes of one file not both be right? `pinned` says that both had to be of the content that was listed.
///
/// The same bytes come to the same figures; what the clock decided, what could not be read, and what changed between the
/// two looks may differ. A record's place is none of its figures.
pub fn contradict(one: &FileOutcome, other: &FileOutcome, pinned: bool) -> bool {
    let same_look = pinned || (one.stat.is_some() && one.stat == other.stat);
    match (&one.result, &other.result) {
        (FileResult::Analysed { content, language, summary, .. }, FileResult::Analysed { content: c, language: l, summary: s, .. }) => {
            content == c && (language, summary) != (l, s)
        }
        (a, b) => same_look && follows_from_content(a) && follows_from_content(b) && a != b,
    }
}

fn follows_from_content(result: &FileResult) -> bool {
    match result {
        FileResult::Analysed { .. } | FileResult::Skipped(_) | FileResult::Failed(FailReason::TooComplex | FailReason::TooLarge) => true,
        FileResult::Failed(_) => false,
    }
}

/// Equal records in two packs: one of them, always the same one.
fn lesser(a: RecordRef, b: RecordRef) -> RecordRef {
    if (a.pack, a.entry) <= (b.pack, b.entry) { a } else { b }
}

fn later(a: Option<FileStat>, b: Option<FileStat>) -> Option<FileStat> {
    let key = |stat: &Option<FileStat>| stat.map(|stat| (stat.changed_ns, stat.modified_ns, stat.size, stat.inode));
    if key(&a) >= key(&b) { a } else { b }
}

/// Sums over the files of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
    pub lines: u64,
    pub code: u64,
    pub comment: u64,
    pub blank: u64,
    pub symbols: u64,
    pub functions: u64,
    pub cyclomatic: u64,
    pub cognitive: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl Totals {
    pub fn add_file(&mut self, summary: &FileSummary) {
        let Lines { total, code, comment, blank } = summary.lines;
        self.files += 1;
        // A node says how many: sums of what it makes up end where the number does.
        self.bytes = self.bytes.saturating_add(summary.bytes);
        self.lines += u64::from(total);
        self.code += u64::from(code);
        self.comment += u64::from(comment);
        self.blank += u64::from(blank);
        self.symbols += u64::from(summary.symbols);
        self.functions += u64::from(summary.functions);
        self.cyclomatic += u64::from(summary.cyclomatic);
        self.cognitive += u64::from(summary.cognitive);
    }
}

/// Totals by language.
pub type LanguageTotals = BTreeMap<String, Totals>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::Digest, wire::task::SkipReason};

    fn analysed(index: u32, content: u8, pack: u8) -> FileOutcome {
        let record = RecordRef { pack: Digest([pack; 32]), entry: 0 };
        let result = FileResult::Analysed { content: Digest([content; 32]), language: "c".into(), record, summary: FileSummary::default() };
        FileOutcome { index, stat: None, result }
    }

    fn aggregate(outcomes: &[FileOutcome]) -> Aggregate {
        let mut aggregate = Aggregate::default();
        outcomes.iter().cloned().for_each(|outcome| aggregate.absorb(outcome));
        aggregate
    }

    #[test]
    fn order_does_not_matter_and_duplicates_change_nothing() {
        let (a, b) = (analysed(1, 1, 9), analysed(1, 1, 3));
        let merged = aggregate(&[a.clone(), b.clone()]);
        assert_eq!(merged, aggregate(&[b.clone(), a.clone()]));
        assert_eq!(merged.get(1), Some(&b), "the lesser pack wins in either order");
        assert_eq!((merged.len(), merged.duplicates()), (1, 1));
    }

    #[test]
    fn results_that_differ_are_a_conflict_for_good() {
        let (a, b) = (analysed(1, 1, 1), analysed(1, 2, 1));
        let skipped = FileOutcome { index: 1, stat: None, result: FileResult::Skipped(SkipReason::Binary) };
        for order in [[&a, &b, &skipped], [&skipped, &a, &b], [&a, &skipped, &b]] {
            let merged = aggregate(&order.map(Clone::clone));
            assert_eq!(merged.get(1).unwrap().result, FileResult::Failed(FailReason::Conflict));
        }
        let again = aggregate(&[a.clone(), b, a]);
        assert_eq!(again.get(1).unwrap().result, FileResult::Failed(FailReason::Conflict));
    }

    fn of_stat(outcome: FileOutcome, inode: u64) -> FileOutcome {
        FileOutcome { stat: Some(FileStat { inode, ..FileStat::default() }), ..outcome }
    }

    #[test]
    fn only_what_follows_from_the_same_bytes_is_contradicted() {
        let with = |result| FileOutcome { index: 1, stat: None, result };
        let other_figures = || {
            let mut outcome = analysed(1, 1, 1);
            let FileResult::Analysed { summary, .. } = &mut outcome.result else { unreachable!("it was just made") };
            summary.cyclomatic += 1;
            outcome
        };
        let binary = || with(FileResult::Skipped(SkipReason::Binary));
        let timed_out = || with(FileResult::Failed(FailReason::TimedOut));
        assert!(contradict(&analysed(1, 1, 1), &other_figures(), false), "the content is named");
        assert!(!contradict(&analysed(1, 1, 1), &analysed(1, 1, 2), true), "where the record lies says nothing");
        assert!(!contradict(&analysed(1, 1, 1), &analysed(1, 2, 1), false), "the file has changed");
        assert!(!contradict(&analysed(1, 1, 1), &binary(), false), "the file may have changed");
        assert!(contradict(&analysed(1, 1, 1), &binary(), true), "the listing named the content");
        assert!(contradict(&of_stat(analysed(1, 1, 1), 7), &of_stat(binary(), 7), false), "it looked the same");
        assert!(!contradict(&of_stat(analysed(1, 1, 1), 7), &of_stat(binary(), 8), false));
        assert!(!contradict(&analysed(1, 1, 1), &timed_out(), true), "the clock decided");
        assert!(!contradict(&with(FileResult::Failed(FailReason::Conflict)), &analysed(1, 1, 1), true), "it was said already");
    }

    #[test]
    fn a_dispute_is_no_duplicate() {
        let mut merged = aggregate(&[analysed(1, 1, 1)]);
        merged.dispute(analysed(1, 2, 1));
        assert_eq!(merged.get(1).unwrap().result, FileResult::Failed(FailReason::Conflict));
        assert_eq!((merged.len(), merged.duplicates()), (1, 0));
    }
}
