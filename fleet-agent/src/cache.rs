//! Finding a record again: by content and language, among the packs that this engine made.

use std::{collections::HashMap, path::Path};

use bitacora_core::{
    cache::RecordKey,
    ids::Digest,
    wire::{record::FileSummary, task::RecordRef},
};

use crate::{
    blobs::{BlobError, Blobs},
    pack::{self, NamesExtent, PackError, RecordBuffer, Records, Segment},
};

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
}

/// What was in the cache when it was looked through; does not change while sparks run.
#[derive(Debug, Default)]
pub struct CacheIndex {
    records: HashMap<RecordKey, RecordRef>,
}

impl CacheIndex {
    pub fn find(&self, key: &RecordKey) -> Option<RecordRef> {
        self.records.get(key).copied()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Cache {
    pub fn open(data: &Path, fingerprint: Digest) -> Result<Cache, CacheError> {
        Ok(Cache { packs: Blobs::open(&data.join("packs"))?, fingerprint })
    }

    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    pub fn packs(&self) -> &Blobs {
        &self.packs
    }

    /// Reads every pack's index. A pack that is damaged or of another engine holds nothing for us; it costs a computation.
    pub fn index(&self) -> Result<CacheIndex, CacheError> {
        let mut records = HashMap::new();
        for (name, _) in self.packs.list()? {
            let Ok(pack) = Records::open(&self.packs.path(name)) else { continue };
            for row in pack.index().filter(|_| pack.fingerprint() == self.fingerprint) {
                let key = RecordKey::new(row.content, &row.language, self.fingerprint);
                records.entry(key).or_insert(RecordRef { pack: name, entry: row.entry });
            }
        }
        Ok(CacheIndex { records })
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
