//! Removing what nothing stands on: no project's last result, and no job that is not over. Whoever calls it sees to it that no
//! job goes on meanwhile: what one has just written nobody points to yet.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use bitacora_core::fleet::Ledger;
use fleet_agent::blobs::{BlobError, Blobs};

use super::{Needed, ResultError};
use crate::{data::DataDirectory, names};

/// Files of one sweep: removing them takes a busy disk a few seconds. Whoever wants all gone sweeps again.
const SWEPT_MAX: u64 = 8192;

/// What may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing: all is counted.
    Nothing,
    /// What is whole or damaged. What is half written may be written just now.
    Ended,
    All,
}

/// What was removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub files: u64,
    pub bytes: u64,
    /// There is more.
    pub more: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Result(#[from] ResultError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("the indexes of names cannot be swept")]
    Names(#[source] io::Error),
    #[error("cannot remove {0}")]
    Remove(PathBuf, #[source] io::Error),
}

/// Removes, or counts, what this ledger does not need.
pub fn sweep(data: &DataDirectory, ledger: &Ledger, extent: Extent) -> Result<Swept, SweepError> {
    let needed = Needed::of(data, ledger)?;
    let projects: BTreeSet<String> = ledger.projects.keys().map(ToString::to_string).collect();
    let (files, bytes) = names::sweep(data, |name| projects.contains(name), extent == Extent::Nothing).map_err(SweepError::Names)?;
    let mut swept = Swept { files, bytes, more: false };
    let stores = [(Blobs::open(&data.packs())?, needed.packs), (Blobs::open(&data.manifests())?, needed.results), (data.logs()?.kept().clone(), needed.logs)];
    for (blobs, kept) in stores {
        let unneeded = blobs.list()?.into_iter().filter(|(name, _)| !kept.contains(name)).map(|(name, size)| (blobs.path(name), size));
        for (path, size) in blobs.leftovers(extent != Extent::Ended)?.into_iter().chain(unneeded) {
            if extent != Extent::Nothing {
                if swept.files >= SWEPT_MAX {
                    swept.more = true;
                    return Ok(swept);
                }
                remove(path)?;
            }
            (swept.files, swept.bytes) = (swept.files + 1, swept.bytes + size);
        }
    }
    Ok(swept)
}

/// What is gone already is as good as removed.
fn remove(path: PathBuf) -> Result<(), SweepError> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SweepError::Remove(path, error)),
        _ => Ok(()),
    }
}
