//! Points at which a test has the process killed, between the steps of what must survive that. In release builds they do not exist.
//!
//! A killed process is no power cut: what the system has in memory is still written. What a power cut leaves is up to the syncs, and
//! proved by none of this.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use rustix::process::{Signal, getpid, kill_process};

/// `POINT:N`: a debug build kills itself when it comes to this point for the N-th time.
const VARIABLE: &str = "BITACORA_TEST_KILL_AT";

/// Between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A blob's file is there, and empty.
    BlobBegun,
    /// It is whole, and not synced.
    BlobWritten,
    /// It is synced, and does not have its name.
    BlobSynced,
    /// It has its name, and its folder is not synced.
    BlobNamed,
    BlobKept,
    /// Facts are to be written.
    BatchBegun,
    /// They are, and not committed.
    BatchWritten,
    BatchCommitted,
    /// A snapshot is written, the facts before it are dropped, and nothing is committed.
    SnapshotWritten,
    SnapshotCommitted,
}

impl Point {
    pub const ALL: [Point; 10] = [
        Point::BlobBegun,
        Point::BlobWritten,
        Point::BlobSynced,
        Point::BlobNamed,
        Point::BlobKept,
        Point::BatchBegun,
        Point::BatchWritten,
        Point::BatchCommitted,
        Point::SnapshotWritten,
        Point::SnapshotCommitted,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Point::BlobBegun => "blob-begun",
            Point::BlobWritten => "blob-written",
            Point::BlobSynced => "blob-synced",
            Point::BlobNamed => "blob-named",
            Point::BlobKept => "blob-kept",
            Point::BatchBegun => "batch-begun",
            Point::BatchWritten => "batch-written",
            Point::BatchCommitted => "batch-committed",
            Point::SnapshotWritten => "snapshot-written",
            Point::SnapshotCommitted => "snapshot-committed",
        }
    }

    /// The process has come here.
    #[inline]
    pub fn reached(self) {
        if cfg!(debug_assertions) {
            self.kill_if_asked();
        }
    }

    fn kill_if_asked(self) {
        static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
        static SEEN: AtomicU64 = AtomicU64::new(0);
        let Some((name, number)) = WANTED.get_or_init(wanted) else { return };
        if name == self.name() && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == *number {
            // Only the system could refuse, and then the test says that nobody was killed.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

fn wanted() -> Option<(String, u64)> {
    let asked = std::env::var(VARIABLE).ok()?;
    let (name, number) = asked.split_once(':')?;
    Some((name.to_owned(), number.parse().ok()?))
}
