//! A tree as it is now, compared with its last result: what is known, what is to be done.

mod found;
mod merge;

use std::{
    collections::HashSet,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use bitacora_core::{
    cache,
    fleet::ListedFile,
    ids::Digest,
    paths::RelativePath,
    time::Time,
    wire::task::{FailReason, FileLimits, FileResult, FileStat, SkipReason},
};
use fleet_agent::{
    analysis::{LanguageIndex, classify},
    blobs::{self, Blobs},
    listing::{self, ListingError, Verdict},
    root::Root,
    work,
};

pub use self::{
    found::Found,
    merge::{Meanwhile, Outcomes},
};
use crate::{manifest::Manifest, selection::Selection};

/// A listed tree with what is known of it.
#[derive(Debug)]
pub struct Scan {
    pub listed_at: Time,
    files: Vec<Entry>,
    /// Files that are of no known language by their name.
    other: u64,
    /// The result that answers for what is known.
    base: Option<(Digest, Manifest)>,
    /// The project's last result when the tree was listed, of use or not.
    pub latest: Option<Digest>,
    /// The part of the tree that was looked at.
    selection: Option<Selection>,
    /// Identifies paths, sizes, times and what is known of them.
    pub listing: Digest,
    /// Nothing changed at all: the base is the result.
    pub unchanged: bool,
}

#[derive(Debug)]
struct Entry {
    path: RelativePath,
    stat: FileStat,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    /// The base's row of this number holds.
    Known(u32),
    /// So it does as far as anybody knows: nobody asked.
    Left(u32),
    /// The job's file of this number.
    Work(u32),
    /// Decided by name and size alone.
    Decided(FileResult),
}

/// What is known of a tree before it is listed.
#[derive(Debug)]
pub struct Earlier<'a> {
    /// The last result, where it is of this engine.
    pub base: Option<(Digest, Manifest)>,
    /// The last result by its name, of use or not.
    pub latest: Option<Digest>,
    /// Where its records are.
    pub packs: &'a Blobs,
    /// Those that nodes have.
    pub held: &'a HashSet<Digest>,
    /// May it answer for what looks unchanged?
    pub trusted: bool,
}

impl Scan {
    /// Lists `root`. What a selection leaves out stays as the last result has it, or stays out.
    pub fn take(
        root: &Path,
        threads: usize,
        limits: &FileLimits,
        earlier: Earlier<'_>,
        selection: Option<&Selection>,
        now: Time,
    ) -> Result<(Scan, Vec<ListedFile>), ListingError> {
        let tree = listing::list(root, threads, limits.bytes_max)?;
        let Earlier { base, latest, packs, held, trusted } = earlier;
        let lost: HashSet<u32> = base.as_ref().map(|(_, manifest)| lost_packs(manifest, packs, held)).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        // Limits decide which files are work, and so their numbers.
        for limit in [limits.bytes_max, limits.parse_steps_max, limits.wall_max.0] {
            hasher.update(&limit.to_le_bytes());
        }
        let (mut work, mut files, mut known) = (Vec::new(), Vec::with_capacity(tree.files.len()), 0);
        for found in tree.files {
            if selection.is_some_and(|selection| !selection.includes(found.path.as_bytes())) {
                if let Some((row, stat)) = base.as_ref().and_then(|(_, manifest)| left_row(manifest, &found.path, known, &lost)) {
                    known = row + 1;
                    identify(&mut hasher, &found.path, &stat, true);
                    files.push(Entry { path: found.path, stat, standing: Standing::Left(row) });
                }
                continue;
            }
            let comparable = trusted && matches!(found.verdict, Verdict::Candidate(_));
            let row = base.as_ref().filter(|_| comparable).and_then(|(_, manifest)| known_row(manifest, (&found.path, found.stat), known, &lost, limits));
            identify(&mut hasher, &found.path, &found.stat, row.is_some());
            let standing = match (row, found.verdict) {
                (Some(row), _) => {
                    known = row + 1;
                    Standing::Known(row)
                }
                (None, Verdict::Candidate(language)) => {
                    let earlier = earlier_in(base.as_ref(), &found.path);
                    work.push(ListedFile {
                        path: found.path.clone(),
                        size: found.stat.size,
                        language: language.to_owned(),
                        complexity: complexity_in(earlier.as_ref()),
                        cluster: 0,
                        content: None,
                        is_disputed: earlier == Some(FileResult::Failed(FailReason::Conflict)),
                    });
                    Standing::Work(work.len() as u32 - 1)
                }
                (None, Verdict::Skipped(reason)) => Standing::Decided(FileResult::Skipped(reason)),
                (None, Verdict::Failed(reason)) => Standing::Decided(FileResult::Failed(reason)),
            };
            files.push(Entry { path: found.path, stat: found.stat, standing });
        }
        let unchanged = base.as_ref().is_some_and(|(_, manifest)| is_whole(manifest, &files, tree.other));
        let listing = Digest(*hasher.finalize().as_bytes());
        Ok((Scan { listed_at: now, files, other: tree.other, base, latest, selection: selection.cloned(), listing, unchanged }, work))
    }

    pub fn base(&self) -> Option<Digest> {
        self.base.as_ref().map(|(name, _)| *name)
    }

    pub fn base_manifest(&self) -> Option<&Manifest> {
        self.base.as_ref().map(|(_, manifest)| manifest)
    }

    /// Takes the base out when it is the whole result.
    pub fn into_base(self) -> Option<Manifest> {
        self.base.map(|(_, manifest)| manifest)
    }

    /// Names what is to be done by its content, for nodes that do not read this disk. What cannot be read, is decided by its
    /// first line, or was analysed by anybody under whatever name, is no work for anybody; answers with the rest.
    pub fn name_contents(&mut self, root: &Root, work: Vec<ListedFile>, threads: usize, limits: &FileLimits, found: &Found<'_>) -> Vec<ListedFile> {
        let listing = self.listing;
        // The same bytes may lie elsewhere in the tree as well.
        let disputed: Vec<&ListedFile> = work.iter().filter(|file| file.is_disputed).collect();
        let disputed: HashSet<Digest> = in_parallel(&disputed, threads, |file| content_of(root, file, limits, |_, _| None)).into_iter().flatten().collect();
        let find = |content, language: &str| if disputed.contains(&content) { None } else { found.outcome(listing, content, language) };
        let named = in_parallel(&work, threads, |file| content_of(root, file, limits, find));
        let (mut rest, mut numbers) = (Vec::with_capacity(work.len()), Vec::with_capacity(work.len()));
        for (file, content) in work.into_iter().zip(named) {
            numbers.push(content.map(|content| {
                rest.push(ListedFile { content: Some(content), is_disputed: disputed.contains(&content), ..file });
                rest.len() as u32 - 1
            }));
        }
        for entry in &mut self.files {
            if let Standing::Work(number) = &entry.standing {
                entry.standing = match &numbers[*number as usize] {
                    Ok(number) => Standing::Work(*number),
                    Err(decided) => Standing::Decided(FileResult::clone(decided)),
                };
            }
        }
        rest
    }

    /// Was any file of the selection found?
    pub fn holds_any(&self, selection: &Selection) -> bool {
        self.files.iter().any(|entry| selection.includes(entry.path.as_bytes()))
    }
}

fn content_of(root: &Root, file: &ListedFile, limits: &FileLimits, find: impl Fn(Digest, &str) -> Option<FileResult>) -> Result<Digest, Box<FileResult>> {
    let mut bytes = Vec::new();
    let stat = match work::read_settled(root, &file.path, &mut bytes, limits) {
        Ok(settled) => settled?,
        Err(error) => return Err(Box::new(work::unreadable(&error))),
    };
    let language = LanguageIndex::by_name(&file.language).or_else(|| classify::language_by_shebang(&bytes));
    if stat.size > limits.bytes_max {
        return Err(Box::new(FileResult::Skipped(if language.is_some() { SkipReason::Oversized } else { SkipReason::UnknownLanguage })));
    }
    let content = blobs::digest(&bytes);
    match language.and_then(|language| find(content, language.name())) {
        Some(result) => Err(Box::new(result)),
        None => Ok(content),
    }
}

/// In the order of `items`, each thread taking the next one that is left.
fn in_parallel<Item: Sync, Out: Send>(items: &[Item], threads: usize, work: impl Fn(&Item) -> Out + Sync) -> Vec<Out> {
    let next = AtomicUsize::new(0);
    let share = || {
        let take = || {
            let place = next.fetch_add(1, Ordering::Relaxed);
            items.get(place).map(|item| (place, item))
        };
        std::iter::from_fn(take).map(|(place, item)| (place, work(item))).collect::<Vec<_>>()
    };
    let mut done: Vec<(usize, Out)> = std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(share)).collect();
        shares.into_iter().flat_map(|share| share.join().expect("reading a file does not panic")).collect()
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, out)| out).collect()
}

/// A quarantined file was never read, but it is recognised as long as it looks as it was listed.
fn lasting_stat(entry: &Entry, result: &FileResult) -> Option<FileStat> {
    cache::is_lasting(result).then_some(entry.stat)
}

/// Packs of the base that are no longer here, nor with any node: their records are made again.
fn lost_packs(manifest: &Manifest, packs: &Blobs, held: &HashSet<Digest>) -> HashSet<u32> {
    (0..).zip(manifest.packs()).filter(|(_, name)| !held.contains(name) && !packs.path(*name).exists()).map(|(number, _)| number).collect()
}

/// What came of a file the last time, whatever it looked like then.
fn earlier_in(base: Option<&(Digest, Manifest)>, path: &RelativePath) -> Option<FileResult> {
    base.and_then(|(_, manifest)| manifest.find(path.as_bytes(), 0))?.result().ok()
}

/// What planning knows of a file that has changed: how complex it was.
fn complexity_in(earlier: Option<&FileResult>) -> u32 {
    match earlier {
        Some(FileResult::Analysed { summary, .. }) => summary.cyclomatic,
        _ => 0,
    }
}

/// The row of a file that nobody asked about, with the looks it had then: the next whole analysis sees what has changed since.
fn left_row(manifest: &Manifest, path: &RelativePath, hint: u32, lost: &HashSet<u32>) -> Option<(u32, FileStat)> {
    let row = manifest.find(path.as_bytes(), hint)?;
    let here = row.record_place().is_none_or(|(pack, _)| !lost.contains(&pack));
    // A file too young to be trusted then must not look old now.
    let stat = if cache::is_settled(row.stat(), manifest.listed_at()) { row.stat() } else { FileStat { size: u64::MAX, ..FileStat::default() } };
    here.then_some((row.number(), stat))
}

fn known_row(manifest: &Manifest, (path, stat): (&RelativePath, FileStat), hint: u32, lost: &HashSet<u32>, limits: &FileLimits) -> Option<u32> {
    let row = manifest.find(path.as_bytes(), hint).filter(|row| row.stat() == stat)?;
    if let Some((pack, _)) = row.record_place() {
        // What is too large for this limit is decided again.
        let fits = stat.size <= limits.bytes_max;
        return (fits && cache::is_settled(stat, manifest.listed_at()) && !lost.contains(&pack)).then_some(row.number());
    }
    let result = row.result().ok().filter(|result| *result != FileResult::Skipped(SkipReason::Oversized))?;
    cache::still_holds(&result, Some(row.stat()), stat, manifest.listed_at()).then_some(row.number())
}

/// Is the base the whole result already? Every row is still known or decided the same, and nothing came or went.
fn is_whole(manifest: &Manifest, files: &[Entry], other: u64) -> bool {
    let same = |(number, entry): (u32, &Entry)| match &entry.standing {
        Standing::Known(row) | Standing::Left(row) => *row == number,
        Standing::Work(_) => false,
        Standing::Decided(result) => {
            manifest.row(number).is_some_and(|row| row.path_bytes() == entry.path.as_bytes() && row.result().is_ok_and(|old| old == *result))
        }
    };
    manifest.len() as usize == files.len() && (0..).zip(files).all(same) && manifest.overview().is_ok_and(|overview| overview.other_by_name == other)
}

fn identify(hasher: &mut blake3::Hasher, path: &RelativePath, stat: &FileStat, known: bool) {
    hasher.update(&(path.as_bytes().len() as u32).to_le_bytes());
    hasher.update(path.as_bytes());
    for number in [stat.size, stat.modified_ns as u64, stat.changed_ns as u64, stat.inode, u64::from(known)] {
        hasher.update(&number.to_le_bytes());
    }
}
