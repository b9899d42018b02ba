//! Finding a record again: by content and language, among the packs that this engine made.

use std::{
    collections::HashMap,
    fs::File,
    path::Path,
    sync::{Mutex, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use bitacora_core::{
    cache::RecordKey,
    ids::Digest,
    wire::{record::FileSummary, task::RecordRef},
};

use crate::{
    blobs::{self, BlobError, Blobs},
    pack::{self, NamesExtent, PackError, RecordBuffer, Records, Segment},
};

/// How often it is written down that a pack is of use.
const USE_WRITTEN_EVERY: Duration = Duration::from_secs(3600);

/// The packs of a data directory.
#[derive(Clone, Debug)]
pub struct Cache {
    packs: Blobs,
    fingerprint: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("pack {0} cannot be read")]
    Pack(Digest, #[source] PackError),
    #[error("pack {0} is of another engine")]
    Engine(Digest),
}

/// What is in the cache, as far as anybody here knows: what was there when it was looked through, and what came since.
#[derive(Debug, Default)]
pub struct CacheIndex {
    records: RwLock<HashMap<RecordKey, RecordRef>>,
    /// When each pack was of use last, as far as its file says so too.
    used: Mutex<HashMap<Digest, Instant>>,
}

impl CacheIndex {
    pub fn find(&self, key: &RecordKey) -> Option<RecordRef> {
        // A map is whole between two insertions, whoever panicked elsewhere.
        self.records.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    pub fn len(&self) -> usize {
        self.records.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is it time to write down that the pack is of use?
    fn is_unwritten_use(&self, pack: Digest) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = used.get(&pack).is_none_or(|at| at.elapsed() > USE_WRITTEN_EVERY);
        if is_due {
            used.insert(pack, Instant::now());
        }
        is_due
    }

    /// From now on the records of this pack are found, those of another engine aside.
    fn learn(&self, name: Digest, pack: &Records, fingerprint: Digest) {
        if pack.fingerprint() != fingerprint {
            return;
        }
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        for row in pack.index() {
            let key = RecordKey::new(row.content, &row.language, fingerprint);
            // The latest is the one that was just seen to be there.
            records.insert(key, RecordRef { pack: name, entry: row.entry });
        }
    }
}

impl Cache {
    pub fn open(data: &Path, fingerprint: Digest) -> Result<Cache, CacheError> {
        Ok(Cache { packs: Blobs::open_sparing(&data.join("packs"))?, fingerprint })
    }

    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    pub fn packs(&self) -> &Blobs {
        &self.packs
    }

    /// Reads every pack's index. A pack that is damaged or of another engine holds nothing for us; it costs a computation.
    pub fn index(&self) -> Result<CacheIndex, CacheError> {
        let known = CacheIndex::default();
        for (name, _) in self.packs.list()? {
            self.learn(&known, name);
        }
        Ok(known)
    }

    /// A pack has come.
    pub fn learn(&self, known: &CacheIndex, name: Digest) {
        if let Ok(pack) = Records::open(&self.packs.path(name)) {
            known.learn(name, &pack, self.fingerprint);
        }
    }

    /// The record of a content that was analysed before, and what the master keeps of it. A pack that does not have it as it
    /// was written is looked at as a whole: what is damaged is set aside, and what is lost is made again.
    pub fn find(&self, known: &CacheIndex, content: Digest, language: &str) -> Option<(RecordRef, FileSummary)> {
        let reference = known.find(&RecordKey::new(content, language, self.fingerprint))?;
        match self.summary(reference) {
            Ok(summary) => {
                if known.is_unwritten_use(reference.pack) {
                    self.note_use(reference.pack);
                }
                Some((reference, summary))
            }
            Err(_) => {
                let _ = self.packs.read(reference.pack);
                None
            }
        }
    }

    /// Whoever makes room keeps what was of use lately.
    fn note_use(&self, pack: Digest) {
        // On a disk that is only read nobody makes room.
        let _ = File::options().append(true).open(self.packs.path(pack)).and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Keeps a pack that comes from elsewhere: one that is whole, and of this engine.
    pub fn keep(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let name = blobs::digest(bytes);
        let fingerprint = pack::fingerprint_of(bytes).map_err(|error| CacheError::Pack(name, error))?;
        if fingerprint != self.fingerprint {
            return Err(CacheError::Engine(name));
        }
        Ok(self.packs.write(bytes)?)
    }

    /// A pack, to read records of it.
    pub fn records(&self, name: Digest) -> Result<Records, CacheError> {
        Records::open(&self.packs.path(name)).map_err(|error| CacheError::Pack(name, error))
    }

    /// What the master keeps of a record.
    pub fn summary(&self, reference: RecordRef) -> Result<FileSummary, CacheError> {
        let mut buffer = RecordBuffer::default();
        let record = self.records(reference.pack)?;
        let read = record.read(reference.entry, &mut buffer).map_err(|error| CacheError::Pack(reference.pack, error))?;
        Ok(read.summary())
    }

    pub fn names_extent(&self, name: Digest) -> Result<NamesExtent, CacheError> {
        pack::names_extent(&self.packs.path(name)).map_err(|error| CacheError::Pack(name, error))
    }

    /// The names of a pack's symbols, read into `segment`.
    pub fn segment(&self, name: Digest, segment: &mut Segment) -> Result<(), CacheError> {
        segment.open(&self.packs.path(name)).map_err(|error| CacheError::Pack(name, error))
    }
}
