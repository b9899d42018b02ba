//! Running one spark: read each file once, find its record or have it made, pack the new ones.

mod hands;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bitacora_core::{
    ids::Digest,
    paths::RelativePath,
    wire::{
        message::{Held, Progress},
        record::FileSummary,
        task::{Analysis, AttemptError, FailReason, FileLimits, FileOutcome, FileResult, FileStat, RecordRef, SkipReason, SparkOutput, TaskFile},
    },
};

pub use self::hands::Hands;
use crate::{
    analysis::{AnalysisError, LanguageIndex, classify},
    blobs,
    cache::{Cache, CacheIndex},
    listing::{plain, stat_of},
    net::transfer::{TransferError, WANTED_MAX},
    pack::PackWriter,
    root::Root,
    sight::Sight,
};

/// A file that changes each time it is read is read this often.
const READS_MAX: u32 = 3;
/// Bytes analysed between two words of progress, and time where that takes long.
const PROGRESS_BYTES: u64 = 512 << 10;
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Bytes of file contents that are asked for at once.
const FETCH_BYTES: u64 = 8 << 20;

/// A content that was there when it was listed, and that the master does not have any more: it has changed or gone since.
pub const CONTENT_GONE: FileResult = FileResult::Failed(FailReason::Changing);

/// Brings contents that are not on this machine, in the order of their names. Blocks.
pub type Fetch = Arc<dyn Fn(&[Digest]) -> Result<Vec<Option<Vec<u8>>>, TransferError> + Send + Sync>;

/// Where contents come from that a task names.
#[derive(Clone)]
pub struct Supply {
    pub fetch: Fetch,
    /// What lies on this disk as it was listed need not be brought.
    pub sight: Sight,
}

/// Runs sparks on one thread.
pub struct Worker<'a> {
    pub hands: Hands,
    cache: &'a Cache,
    known: &'a CacheIndex,
    /// `None` where the tree is this process's own to read.
    supply: Option<Supply>,
    buffer: Vec<u8>,
}

impl<'a> Worker<'a> {
    pub fn new(hands: Hands, cache: &'a Cache, known: &'a CacheIndex, supply: Option<Supply>) -> Worker<'a> {
        Worker { hands, cache, known, supply, buffer: Vec::new() }
    }

    /// Runs a task to its end, or until `cancel` is set.
    pub fn run(&mut self, held: Held, task: &Analysis, cancel: &AtomicBool, progress: &mut dyn FnMut(Progress)) -> Result<SparkOutput, AttemptError> {
        let ran = self.run_files(task, cancel, &mut |files, bytes| progress(Progress { spark: held.spark, attempt: held.attempt, files, bytes }));
        if ran.is_err() {
            // They may be at something still.
            self.hands.renew();
        }
        ran
    }

    fn run_files(&mut self, task: &Analysis, cancel: &AtomicBool, progress: &mut dyn FnMut(u32, u64)) -> Result<SparkOutput, AttemptError> {
        let mut making = Making { pack: PackWriter::new(self.cache.fingerprint()), output: SparkOutput::default(), given: VecDeque::new() };
        let mut bytes = 0;
        let (mut reported, mut said) = (0, Instant::now());
        let tree = Path::new(std::ffi::OsStr::from_bytes(&task.root));
        let mut source = match &self.supply {
            Some(Supply { fetch, sight }) => {
                // A folder that cannot be opened holds nothing that could be read there.
                let seen = sight.open(tree).and_then(Result::ok);
                Source::Elsewhere { seen, fetch: Arc::clone(fetch), ahead: VecDeque::new() }
            }
            None => Source::Here(Root::open(tree)),
        };
        for (files, file) in (1..).zip(&task.files) {
            if cancel.load(Ordering::Relaxed) {
                return Err(AttemptError::Cancelled);
            }
            let outcome = self.file(&mut source, task, file, &mut making, cancel)?;
            bytes += file.size;
            making.output.files.push(outcome);
            if bytes - reported >= PROGRESS_BYTES || said.elapsed() >= PROGRESS_EVERY {
                (reported, said) = (bytes, Instant::now());
                progress(files, bytes);
            }
        }
        while !self.hands.are_empty() {
            self.take(&mut making, cancel)?;
        }
        self.keep(making)
    }

    /// Writes the pack and tells the outcomes its name.
    fn keep(&self, Making { pack, mut output, .. }: Making) -> Result<SparkOutput, AttemptError> {
        if pack.is_empty() {
            return Ok(output);
        }
        let name = self.cache.packs().write(&pack.finish()).map_err(|error| AttemptError::Storage(with_cause(&error)))?;
        self.cache.learn(self.known, name);
        for outcome in &mut output.files {
            if let FileResult::Analysed { record, .. } = &mut outcome.result
                && record.pack == THIS_PACK
            {
                record.pack = name;
            }
        }
        Ok(output)
    }

    fn file(&mut self, source: &mut Source, task: &Analysis, file: &TaskFile, making: &mut Making, cancel: &AtomicBool) -> Result<FileOutcome, AttemptError> {
        // Content that was analysed before, under whatever name, need not be here.
        if let (Some(content), Some(language), Source::Elsewhere { .. }) = (file.content, LanguageIndex::by_name(&file.language), &source)
            && let Some((record, summary)) = self.find(task, content, language)
        {
            making.output.cached += 1;
            return Ok(FileOutcome { index: file.index, stat: None, result: analysed(content, language, record, summary) });
        }
        let (stat, size) = match self.load(source, task, file)? {
            Loaded::Settled(stat) => (Some(stat), stat.size),
            Loaded::Content => (None, self.buffer.len() as u64),
            Loaded::Nothing(reason) => return Ok(FileOutcome { index: file.index, stat: None, result: reason }),
        };
        let result = self.result(task, file, size, making, cancel)?;
        Ok(FileOutcome { index: file.index, stat, result })
    }

    /// What comes of the bytes in the buffer; of those that are being parsed it stands for what will.
    fn result(&mut self, task: &Analysis, file: &TaskFile, size: u64, making: &mut Making, cancel: &AtomicBool) -> Result<FileResult, AttemptError> {
        let language = LanguageIndex::by_name(&file.language).or_else(|| classify::language_by_shebang(&self.buffer));
        let Some(language) = language else { return Ok(FileResult::Skipped(SkipReason::UnknownLanguage)) };
        if size > task.limits.bytes_max {
            return Ok(FileResult::Skipped(SkipReason::Oversized));
        }
        if let Some(reason) = classify::skip_reason(&self.buffer, language) {
            return Ok(FileResult::Skipped(reason));
        }
        let content = blobs::digest(&self.buffer);
        // Read off this disk, and not what the master listed any more.
        if file.content.is_some_and(|listed| listed != content) {
            return Ok(FileResult::Failed(FailReason::Changing));
        }
        if let Some((record, summary)) = self.find(task, content, language) {
            making.output.cached += 1;
            return Ok(analysed(content, language, record, summary));
        }
        if self.hands.are_full() {
            self.take(making, cancel)?;
        }
        self.hands.give(content, &self.buffer, language, &task.limits, cancel)?;
        making.given.push_back(making.output.files.len());
        Ok(analysed(content, language, RecordRef { pack: THIS_PACK, entry: u32::MAX }, FileSummary::default()))
    }

    /// Takes what has become of the first file that was given to be parsed.
    fn take(&mut self, Making { pack, output, given }: &mut Making, cancel: &AtomicBool) -> Result<(), AttemptError> {
        let made = self.hands.take(pack, cancel)?;
        let place = given.pop_front().expect("what is taken was given");
        let result = &mut output.files[place].result;
        let failed = match made {
            Ok((entry, made)) => {
                if let FileResult::Analysed { record, summary, .. } = result {
                    (record.entry, *summary) = (entry, made);
                }
                return Ok(());
            }
            Err(AnalysisError::Cancelled) => return Err(AttemptError::Cancelled),
            Err(AnalysisError::TooComplex(_)) => FailReason::TooComplex,
            Err(AnalysisError::TooLarge(_)) => FailReason::TooLarge,
            Err(AnalysisError::TimedOut(_) | AnalysisError::Hung) => FailReason::TimedOut,
        };
        *result = FileResult::Failed(failed);
        Ok(())
    }

    /// Puts a file's bytes into the buffer.
    fn load(&mut self, source: &mut Source, task: &Analysis, file: &TaskFile) -> Result<Loaded, AttemptError> {
        match source {
            Source::Here(Err(error)) => Ok(Loaded::Nothing(unreadable(error))),
            Source::Here(Ok(root)) => Ok(match read_settled(root, &file.path, &mut self.buffer, &task.limits) {
                Ok(Ok(stat)) => Loaded::Settled(stat),
                Ok(Err(reason)) => Loaded::Nothing(reason),
                Err(error) => Loaded::Nothing(unreadable(&error)),
            }),
            Source::Elsewhere { seen, fetch, ahead } => {
                let Some(wanted) = file.content else { return Ok(Loaded::Nothing(FileResult::Failed(FailReason::Vanished))) };
                if seen.as_ref().is_some_and(|root| self.reads_as_listed(root, &file.path, wanted, &task.limits)) {
                    return Ok(Loaded::Content);
                }
                // What was fetched for files that the cache answered for meanwhile.
                while ahead.front().is_some_and(|(name, _)| *name != wanted) {
                    ahead.pop_front();
                }
                if ahead.is_empty() {
                    let next = task.files.iter().skip_while(|next| next.index != file.index);
                    *ahead = fetch_ahead(fetch, next).map_err(|error| AttemptError::Unsupplied(with_cause(&error)))?;
                }
                match ahead.pop_front() {
                    Some((_, Some(bytes))) => {
                        self.buffer = bytes;
                        Ok(Loaded::Content)
                    }
                    Some((_, None)) | None => Ok(Loaded::Nothing(CONTENT_GONE)),
                }
            }
        }
    }

    /// Does the disk have it still? What it does not have is asked for: the same content may lie in another place, and it is for
    /// the master to say that it is gone.
    fn reads_as_listed(&mut self, root: &Root, path: &RelativePath, wanted: Digest, limits: &FileLimits) -> bool {
        let read = read_settled(root, path, &mut self.buffer, limits);
        matches!(read, Ok(Ok(_))) && blobs::digest(&self.buffer) == wanted
    }

    /// The record of an earlier analysis; one that cannot be read is made again.
    fn find(&self, task: &Analysis, content: Digest, language: LanguageIndex) -> Option<(RecordRef, FileSummary)> {
        task.use_cache.then(|| self.cache.find(self.known, content, language.name())).flatten()
    }
}

/// What a spark comes to, while it is being made.
struct Making {
    pack: PackWriter,
    output: SparkOutput,
    /// The outcomes whose files are being parsed.
    given: VecDeque<usize>,
}

/// Brings packs to this node's cache that are not there. One at a time: none but the last is in memory.
pub fn keep_packs(cache: &Cache, known: &CacheIndex, names: &[Digest], fetch: Option<&Fetch>, cancel: &AtomicBool) -> Result<SparkOutput, AttemptError> {
    // What nobody has any more the next attempt does not find either.
    let gone = |name: Digest| AttemptError::Refused(format!("nobody has pack {name} any more"));
    for &name in names.iter().filter(|name| cache.packs().read(**name).is_err()) {
        if cancel.load(Ordering::Relaxed) {
            return Err(AttemptError::Cancelled);
        }
        let fetched = fetch.ok_or_else(|| gone(name))?(&[name]);
        let bytes = match fetched.map(|mut blobs| blobs.pop().flatten()) {
            Ok(bytes) => bytes.ok_or_else(|| gone(name))?,
            Err(TransferError::Unknown(_)) => return Err(gone(name)),
            Err(error) => return Err(AttemptError::Unsupplied(with_cause(&error))),
        };
        let kept = cache.keep(&bytes).map_err(|error| AttemptError::Storage(with_cause(&error)))?;
        cache.learn(known, kept);
    }
    Ok(SparkOutput::default())
}

/// Where the files of a task are.
enum Source {
    /// In a folder on this machine.
    Here(io::Result<Root>),
    /// With the master, by content; some of it seen on this disk, some of it fetched ahead.
    Elsewhere { seen: Option<Root>, fetch: Fetch, ahead: VecDeque<Content> },
}

/// A name and its bytes, where they are still to be had.
type Content = (Digest, Option<Vec<u8>>);

enum Loaded {
    /// As it lies on this disk.
    Settled(FileStat),
    /// As its name says.
    Content,
    Nothing(FileResult),
}

/// Some of the contents that come next, this one at least.
fn fetch_ahead<'t>(fetch: &Fetch, files: impl Iterator<Item = &'t TaskFile>) -> Result<VecDeque<Content>, TransferError> {
    let mut bytes = 0;
    let within = |file: &&TaskFile| {
        let first = bytes == 0;
        bytes += file.size.max(1);
        first || bytes <= FETCH_BYTES
    };
    let names: Vec<Digest> = files.take_while(within).filter_map(|file| file.content).take(WANTED_MAX).collect();
    let contents = fetch(&names)?;
    Ok(names.into_iter().zip(contents).collect())
}

/// Stands for the pack that is being written; no hash is known to be zero.
const THIS_PACK: Digest = Digest([0; 32]);

fn analysed(content: Digest, language: LanguageIndex, record: RecordRef, summary: FileSummary) -> FileResult {
    FileResult::Analysed { content, language: language.name().to_owned(), record, summary }
}

/// What is said of a file that cannot be read.
pub fn unreadable(error: &io::Error) -> FileResult {
    let vanished = error.kind() == io::ErrorKind::NotFound;
    FileResult::Failed(if vanished { FailReason::Vanished } else { FailReason::Unreadable(plain(error)) })
}

/// Reads a file that is the same before and after, one byte more than its limit at most; or says what it is instead.
pub fn read_settled(root: &Root, path: &RelativePath, buffer: &mut Vec<u8>, limits: &FileLimits) -> io::Result<Result<FileStat, FileResult>> {
    for _ in 0..READS_MAX {
        let mut file = root.file(path)?;
        let before = file.metadata()?;
        if !before.is_file() {
            return Ok(Err(FileResult::Skipped(SkipReason::Special)));
        }
        read_bounded(&mut file, buffer, before.len(), limits.bytes_max)?;
        let (before, after) = (stat_of(&before), stat_of(&file.metadata()?));
        let whole = after.size > limits.bytes_max || after.size == buffer.len() as u64;
        if before == after && whole {
            return Ok(Ok(after));
        }
    }
    Ok(Err(FileResult::Failed(FailReason::Changing)))
}

/// At most one byte more than may be analysed: enough for its first line, and to see that it is too long.
fn read_bounded(file: &mut File, buffer: &mut Vec<u8>, expected: u64, bytes_max: u64) -> io::Result<()> {
    buffer.clear();
    buffer.reserve(expected.min(bytes_max) as usize + 1);
    file.take(bytes_max.saturating_add(1)).read_to_end(buffer)?;
    Ok(())
}

/// An error and what caused it, in one line.
pub fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Mutex};

    use bitacora_core::ids::{Attempt, JobId, SparkId};

    use super::*;

    const HELD: Held = Held { spark: SparkId { job: JobId { epoch: bitacora_core::ids::Epoch(1), counter: 1 }, number: 0 }, attempt: Attempt(1) };

    #[test]
    fn what_lies_on_this_disk_as_it_was_listed_is_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, same, listed) = (folder.path().join("tree"), b"def same(): pass\n".as_slice(), b"def listed(): pass\n".as_slice());
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("same.py"), same).unwrap();
        fs::write(tree.join("changed.py"), b"def changed(): pass\n").unwrap();
        let file = |index: u32, name: &str, bytes: &[u8]| TaskFile {
            index,
            path: RelativePath::new(name.into()).unwrap(),
            language: "python".into(),
            size: bytes.len() as u64,
            content: Some(blobs::digest(bytes)),
        };
        let files = vec![file(0, "same.py", same), file(1, "changed.py", listed), file(2, "gone.py", listed)];
        let task = Analysis { root: tree.as_os_str().as_bytes().to_vec(), files, ..Analysis::default() };
        let run = |sight: Sight| {
            let asked = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&asked);
            let fetch: Fetch = Arc::new(move |names: &[Digest]| {
                heard.lock().unwrap().extend(names.iter().copied());
                Ok(names.iter().map(|name| [same, listed].into_iter().find(|bytes| blobs::digest(bytes) == *name).map(<[u8]>::to_vec)).collect())
            });
            let cache = Cache::open(folder.path(), crate::analysis::fingerprint()).unwrap();
            let (known, supply) = (CacheIndex::default(), Supply { fetch, sight });
            let output = Worker::new(Hands::own(), &cache, &known, Some(supply)).run(HELD, &task, &AtomicBool::new(false), &mut |_| {}).unwrap();
            let asked = asked.lock().unwrap().clone();
            (output, asked)
        };
        let (seen, brought) = (run(Sight::Everything), run(Sight::Nothing));
        // A clone of it, which is not quite the same.
        let clone = folder.path().join("clone");
        fs::create_dir(&clone).unwrap();
        fs::write(clone.join("same.py"), same).unwrap();
        let folders = format!("{}={}", tree.display(), clone.display()).parse().unwrap();
        assert_eq!(run(Sight::Folders(vec![folders])), seen);
        let (same, listed) = (blobs::digest(same), blobs::digest(listed));
        assert_eq!((seen.1, brought.1), (vec![listed, listed], vec![same, listed, listed]));
        assert_eq!(seen.0, brought.0, "and it makes no difference");
        assert!(seen.0.files.iter().all(|outcome| matches!(outcome.result, FileResult::Analysed { .. })));
    }
}
