//! When may an earlier result stand for a file? Keys and decisions, without files.

use serde::{Deserialize, Serialize};

use crate::{
    ids::Digest,
    time::{Span, Time},
    wire::task::{FailReason, FileResult, FileStat},
};

/// The key of a result: same content, read as the same language, by the same engine, is the same record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    pub content: [u8; 32],
    pub language: alloc::string::String,
    pub fingerprint: [u8; 32],
}

impl RecordKey {
    pub fn new(content: Digest, language: &str, fingerprint: Digest) -> RecordKey {
        RecordKey { content: content.0, language: language.into(), fingerprint: fingerprint.0 }
    }
}

/// A file that was modified this shortly before it was listed may have been modified again without its times showing
/// it: file systems tick as rarely as every two seconds (the "racy git" problem).
pub const RACY: Span = Span::from_secs(2);

/// As much for the inode's change time, which no program can set and which file systems keep by the kernel's own clock,
/// a tick of a hundredth of a second at worst.
pub const TICK: Span = Span::from_millis(20);

/// Does an earlier outcome still hold for a file that looks like this now, without reading it?
pub fn still_holds(earlier: &FileResult, seen: Option<FileStat>, now: FileStat, listed_at: Time) -> bool {
    // A quarantined file takes a process with it: it is left alone for as long as it looks the same.
    let trusted = is_settled(now, listed_at) || *earlier == FileResult::Failed(FailReason::Quarantined);
    seen == Some(now) && trusted && is_lasting(earlier)
}

/// Was the file left alone for long enough before it was listed?
pub fn is_settled(stat: FileStat, listed_at: Time) -> bool {
    let listed_at = listed_at.0 as i64;
    stat.modified_ns / 1_000 + (RACY.0 as i64) <= listed_at && stat.changed_ns / 1_000 + (TICK.0 as i64) <= listed_at
}

/// Would the same bytes come to the same outcome? What depended on the moment is tried again.
pub fn is_lasting(result: &FileResult) -> bool {
    match result {
        FileResult::Analysed { .. } | FileResult::Skipped(_) => true,
        FileResult::Failed(FailReason::TooComplex | FailReason::TooLarge | FailReason::Quarantined) => true,
        FileResult::Failed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::task::SkipReason;

    #[test]
    fn recently_modified_files_are_read_again() {
        let stat = FileStat { size: 1, modified_ns: 10_000_000_000, changed_ns: 0, inode: 5 };
        let result = FileResult::Skipped(SkipReason::Binary);
        assert!(still_holds(&result, Some(stat), stat, Time(12_000_000)));
        assert!(!still_holds(&result, Some(stat), stat, Time(11_999_999)));
        assert!(!still_holds(&result, None, stat, Time(20_000_000)));
        let replaced = FileStat { inode: 6, ..stat };
        assert!(!still_holds(&result, Some(stat), replaced, Time(20_000_000)));
        assert!(!still_holds(&FileResult::Failed(FailReason::TimedOut), Some(stat), stat, Time(20_000_000)));
    }
}
