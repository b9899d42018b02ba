//! Finding the files of a tree: `.gitignore` (inside a git repository), `.ignore` and hidden files as ripgrep treats
//! them, links never followed, nothing opened. A person's global gitignore is left out: a report must not depend on it.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use bitacora_core::{
    paths::RelativePath,
    wire::task::{FailReason, FileStat, SkipReason},
};
use ignore::{DirEntry, WalkBuilder, WalkState};

use crate::analysis::classify;

/// A file of the tree, and what its name alone says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: RelativePath,
    pub stat: FileStat,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To be analysed as this language; empty when only its first line can tell.
    Candidate(&'static str),
    Skipped(SkipReason),
    Failed(FailReason),
}

/// A tree, in the order of paths.
#[derive(Debug, Default)]
pub struct Tree {
    pub files: Vec<Found>,
    /// Files whose name says that they are of no known language.
    pub other: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    #[error("cannot read {path}")]
    Root { path: std::path::PathBuf, source: std::io::Error },
    #[error("{0} is not a folder; give the folder that holds it")]
    NotAFolder(std::path::PathBuf),
}

/// Walks `root` with that many threads.
pub fn list(root: &Path, threads: usize, bytes_max: u64) -> Result<Tree, ListingError> {
    let metadata = std::fs::metadata(root).map_err(|source| ListingError::Root { path: root.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(ListingError::NotAFolder(root.to_owned()));
    }
    std::fs::read_dir(root).map_err(|source| ListingError::Root { path: root.to_owned(), source })?;
    let (tx, rx) = crossbeam_channel::unbounded();
    let walk = WalkBuilder::new(root).git_global(false).threads(threads).build_parallel();
    walk.run(|| {
        let mut batch = Batch { tree: Tree::default(), tx: tx.clone() };
        Box::new(move |entry| {
            batch.take(root, entry, bytes_max);
            WalkState::Continue
        })
    });
    drop(tx);
    let mut tree = Tree::default();
    for part in rx {
        tree.files.extend(part.files);
        tree.other += part.other;
    }
    tree.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(tree)
}

/// One walking thread's finds; sent off when the thread ends.
struct Batch {
    tree: Tree,
    tx: crossbeam_channel::Sender<Tree>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        // The receiver outlives the walk; without it nobody wants the finds.
        let _ = self.tx.send(std::mem::take(&mut self.tree));
    }
}

impl Batch {
    fn take(&mut self, root: &Path, entry: Result<DirEntry, ignore::Error>, bytes_max: u64) {
        match entry {
            Ok(entry) => self.take_entry(root, &entry, bytes_max),
            Err(error) => self.take_error(root, &error),
        }
    }

    fn take_entry(&mut self, root: &Path, entry: &DirEntry, bytes_max: u64) {
        let Some(file_type) = entry.file_type() else { return };
        if file_type.is_dir() || file_type.is_symlink() {
            return;
        }
        let Some(path) = relative(root, entry.path()) else { return };
        if !file_type.is_file() {
            return self.tree.files.push(Found { path, stat: FileStat::default(), verdict: Verdict::Skipped(SkipReason::Special) });
        }
        let Some(language) = language_of(entry.file_name()) else {
            self.tree.other += 1;
            return;
        };
        match entry.metadata() {
            Ok(metadata) => {
                let stat = stat_of(&metadata);
                let oversized = stat.size > bytes_max && !language.is_empty();
                let verdict = if oversized { Verdict::Skipped(SkipReason::Oversized) } else { Verdict::Candidate(language) };
                self.tree.files.push(Found { path, stat, verdict });
            }
            Err(error) => {
                let reason = error.io_error().map_or_else(|| error.to_string(), plain);
                self.tree.files.push(Found { path, stat: FileStat::default(), verdict: Verdict::Failed(FailReason::Unreadable(reason)) });
            }
        }
    }

    /// An unreadable folder is named like a file: what is in it should have been analysed.
    fn take_error(&mut self, root: &Path, error: &ignore::Error) {
        let Some(path) = path_of(error).and_then(|path| relative(root, path)) else { return };
        let reason = error.io_error().map_or_else(|| error.to_string(), plain);
        self.tree.files.push(Found { path, stat: FileStat::default(), verdict: Verdict::Failed(FailReason::Unreadable(reason)) });
    }
}

/// The system's words without Rust's `(os error 13)`.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

/// Known by name, or by no extension and so perhaps by the first line; `None` for what is no source.
fn language_of(name: &OsStr) -> Option<&'static str> {
    let name = name.as_bytes();
    match classify::language_by_name(name) {
        Some(language) => Some(language.name()),
        None => classify::may_have_shebang(name).then_some(""),
    }
}

fn relative(root: &Path, path: &Path) -> Option<RelativePath> {
    RelativePath::new(path.strip_prefix(root).ok()?.as_os_str().as_bytes().to_vec()).ok()
}

pub fn stat_of(metadata: &std::fs::Metadata) -> FileStat {
    let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    FileStat {
        size: metadata.size(),
        modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
    }
}
