//! Contents that this node was brought, on its disk, for its neighbours and for itself.
//!
//! What came together lies in one file. The oldest files go first; none outlives the process that wrote it, and none is synced:
//! whatever is read is checked against its name.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bitacora_core::ids::Digest;

use crate::{blobs, pack};

/// Of all of them: what a subnet's nodes bring in the same minutes, and little beside what a cache has.
const KEPT_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    bytes_max: u64,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    places: HashMap<Digest, Place>,
    bundles: VecDeque<Bundle>,
    bytes: u64,
    /// The last number given to a file.
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    bundle: u64,
    offset: u64,
    length: usize,
}

#[derive(Debug)]
struct Bundle {
    number: u64,
    bytes: u64,
    names: Vec<Digest>,
}

impl Kept {
    /// Empty, whatever an earlier process left. Where the folder cannot be made nothing is kept.
    pub(super) fn open(folder: &Path) -> Kept {
        let _ = fs::remove_dir_all(folder);
        let _ = fs::create_dir_all(folder);
        Kept { folder: folder.to_owned(), bytes_max: KEPT_BYTES_MAX, shelf: Mutex::default() }
    }

    pub(super) fn read(&self, name: Digest) -> Option<Vec<u8>> {
        let place = *self.shelf().places.get(&name)?;
        let mut bytes = vec![0; place.length];
        let read = File::open(self.path(place.bundle)).and_then(|file| file.read_exact_at(&mut bytes, place.offset));
        (read.is_ok() && blobs::digest(&bytes) == name).then_some(bytes)
    }

    /// Keeps what is not here yet. Packs are in the cache anyhow.
    pub(super) fn keep(&self, names: &[Digest], contents: &[Option<Vec<u8>>]) {
        let (mut shelf, mut bundle, mut places) = (self.shelf(), Vec::new(), Vec::new());
        for (name, bytes) in names.iter().zip(contents).filter_map(|(name, bytes)| Some((*name, bytes.as_deref()?))) {
            if !shelf.places.contains_key(&name) && pack::check_frame(bytes).is_err() {
                places.push((name, bundle.len() as u64, bytes.len()));
                bundle.extend_from_slice(bytes);
            }
        }
        if bundle.is_empty() {
            return;
        }
        shelf.number += 1;
        let number = shelf.number;
        drop(shelf);
        // A full disk keeps nothing, and nobody misses it.
        if fs::write(self.path(number), &bundle).is_ok() {
            let names = places.iter().map(|(name, ..)| *name).collect();
            let mut shelf = self.shelf();
            shelf.places.extend(places.into_iter().map(|(name, offset, length)| (name, Place { bundle: number, offset, length })));
            shelf.bytes += bundle.len() as u64;
            shelf.bundles.push_back(Bundle { number, bytes: bundle.len() as u64, names });
            self.make_room(&mut shelf);
        } else {
            let _ = fs::remove_file(self.path(number));
        }
    }

    fn make_room(&self, shelf: &mut Shelf) {
        while shelf.bytes > self.bytes_max
            && let Some(oldest) = shelf.bundles.pop_front()
        {
            shelf.bytes -= oldest.bytes;
            for name in oldest.names {
                if shelf.places.get(&name).is_some_and(|place| place.bundle == oldest.number) {
                    shelf.places.remove(&name);
                }
            }
            // What cannot be removed now is with the folder, at the next start.
            let _ = fs::remove_file(self.path(oldest.number));
        }
    }

    fn path(&self, bundle: u64) -> PathBuf {
        self.folder.join(bundle.to_string())
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(kept: &Kept, contents: &[&[u8]]) {
        let names: Vec<Digest> = contents.iter().map(|bytes| blobs::digest(bytes)).collect();
        kept.keep(&names, &contents.iter().map(|bytes| Some(bytes.to_vec())).collect::<Vec<_>>());
    }

    fn has(kept: &Kept, bytes: &[u8]) -> bool {
        kept.read(blobs::digest(bytes)).is_some_and(|read| read == bytes)
    }

    #[test]
    fn what_was_brought_last_is_kept_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { bytes_max: 10, ..Kept::open(folder.path()) };
        keep(&kept, &[b"one", b"", b"three"]);
        keep(&kept, &[b"one", b"two"]);
        assert!(!has(&kept, b"one") && !has(&kept, b"three") && has(&kept, b"two"), "eleven bytes are too many");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(kept.path(2), b"tWo").unwrap();
        assert!(!has(&kept, b"two"), "it is not what its name says");
        drop(kept);
        Kept::open(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
