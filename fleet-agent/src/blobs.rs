//! Bytes named by their BLAKE3 hash, one file each.
//!
//! A blob is written beside its place, synced, and renamed: a name that exists has its whole content, after a power cut
//! too. Every whole read is checked against the name.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bitacora_core::ids::Digest;

use crate::crash::Point;

/// What is left free of a disk by blobs that can be made again: room for the journal and the result of a tree of a hundred
/// thousand files, so that a full disk is told of.
const KEPT_FREE_BYTES: u64 = 32 << 20;
/// Of a small disk, one such part.
const KEPT_FREE_PART: u64 = 16;

/// `32 MB` of 2^20 bytes, as the limit is counted; less in kB.
fn binary(bytes: &u64) -> String {
    if *bytes < 1 << 20 { format!("{} kB", bytes >> 10) } else { format!("{} MB", bytes >> 20) }
}

/// A folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
    leaves_room: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {0} is not here")]
    Missing(Digest),
    #[error("blob {0} does not have the content its name says and was set aside as {1}")]
    Corrupt(Digest, PathBuf),
    #[error("no space left on device: its last {} are for the journal", binary(.kept))]
    Full { kept: u64 },
    #[error("cannot {operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
}

impl BlobError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BlobError {
        move |source| BlobError::Io { operation, path: path.to_owned(), source }
    }
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

impl Blobs {
    pub fn open(folder: &Path) -> Result<Blobs, BlobError> {
        fs::create_dir_all(folder).map_err(BlobError::io("create", folder))?;
        Ok(Blobs { folder: folder.to_owned(), leaves_room: false })
    }

    /// Of what can be made again: it leaves the end of a disk to what cannot.
    pub fn open_sparing(folder: &Path) -> Result<Blobs, BlobError> {
        Ok(Blobs { leaves_room: true, ..Blobs::open(folder)? })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_hex();
        self.folder.join(&hex[..2]).join(&hex[2..])
    }

    /// Keeps the bytes; a blob that is here already, and sound, is not written again.
    pub fn write(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let name = digest(bytes);
        let path = self.path(name);
        if self.read(name).is_ok() {
            return Ok(name);
        }
        self.check_room(bytes.len() as u64)?;
        let folder = path.parent().expect("a blob lies in a folder");
        self.create_shard(folder).map_err(BlobError::io("create", folder))?;
        put(folder, &path, bytes).map_err(|source| BlobError::Io { operation: "write", path, source })?;
        Ok(name)
    }

    fn check_room(&self, bytes: u64) -> Result<(), BlobError> {
        // Where nobody can say how much is left, writing it does.
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let [all, left] = [disk.f_blocks, disk.f_bavail].map(|blocks| blocks.saturating_mul(disk.f_frsize));
        let kept = KEPT_FREE_BYTES.min(all / KEPT_FREE_PART);
        let has_room = all == 0 || left >= kept.saturating_add(bytes);
        if has_room || !self.leaves_room { Ok(()) } else { Err(BlobError::Full { kept }) }
    }

    /// A new folder's name must last as long as what is put into it.
    fn create_shard(&self, folder: &Path) -> io::Result<()> {
        match fs::create_dir(folder) {
            Ok(()) => File::open(&self.folder)?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub fn read(&self, name: Digest) -> Result<Vec<u8>, BlobError> {
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::Missing(name)),
            read => read.map_err(BlobError::io("read", &path))?,
        };
        if digest(&bytes) == name {
            return Ok(bytes);
        }
        // Set aside, so that it is missing from now on and can be made again.
        let aside = path.with_extension("damaged");
        // Where that is not possible it is read again and found damaged again.
        let _ = fs::rename(&path, &aside);
        Err(BlobError::Corrupt(name, aside))
    }

    /// Every blob's name and size, in the order of names.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, BlobError> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.folder).map_err(BlobError::io("list", &self.folder))?.flatten() {
            let Ok(entries) = fs::read_dir(folder.path()) else { continue };
            for entry in entries.flatten() {
                let hex = format!("{}{}", folder.file_name().to_string_lossy(), entry.file_name().to_string_lossy());
                if let (Some(name), Ok(metadata)) = (Digest::from_hex(&hex), entry.metadata()) {
                    all.push((name, metadata.len()));
                }
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Damaged blobs that were set aside, and what writers that were killed left `begun`, with their sizes. What a writer has begun
    /// that lives looks the same.
    pub fn leftovers(&self, begun: bool) -> Result<Vec<(PathBuf, u64)>, BlobError> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.folder).map_err(BlobError::io("list", &self.folder))?.flatten() {
            for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "damaged" || (begun && extension == "part")) {
                    all.push((path, entry.metadata().map_or(0, |metadata| metadata.len())));
                }
            }
        }
        Ok(all)
    }

    pub fn remove(&self, name: Digest) -> Result<(), BlobError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(BlobError::io("remove", &path))
    }
}

/// What is begun and not ended is taken away again, as far as that works: the disk may be full. Its name is random: a number of a
/// process says nothing where several containers have the folder.
fn put(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let readable_by_umask = Permissions::from_mode(0o666);
    let mut beside = tempfile::Builder::new().prefix("").suffix(".part").permissions(readable_by_umask).tempfile_in(folder)?;
    Point::BlobBegun.reached();
    beside.write_all(bytes)?;
    Point::BlobWritten.reached();
    beside.as_file().sync_data()?;
    Point::BlobSynced.reached();
    beside.persist(path)?;
    Point::BlobNamed.reached();
    File::open(folder)?.sync_all()?;
    Point::BlobKept.reached();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_found_by_their_content_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let name = blobs.write(b"hello").unwrap();
        assert_eq!(blobs.write(b"hello").unwrap(), name);
        assert_eq!(blobs.read(name).unwrap(), b"hello");
        assert_eq!(blobs.list().unwrap(), [(name, 5)]);
        fs::write(blobs.path(name), b"hellO").unwrap();
        assert!(matches!(blobs.read(name), Err(BlobError::Corrupt(..))));
        assert!(matches!(blobs.read(name), Err(BlobError::Missing(_))), "it was set aside");
        blobs.write(b"hello").unwrap();
        assert_eq!(blobs.read(name).unwrap(), b"hello", "what is damaged is written again");
        blobs.remove(name).unwrap();
        assert!(matches!(blobs.read(name), Err(BlobError::Missing(_))));
    }

    #[test]
    fn what_another_writer_has_begun_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let shard = blobs.path(digest(b"hello")).parent().unwrap().to_owned();
        fs::create_dir(&shard).unwrap();
        // As a process of the same number in another container would have named them.
        (0..100).for_each(|count| fs::write(shard.join(format!("{}.{count}.part", std::process::id())), "half").unwrap());
        let name = blobs.write(b"hello").unwrap();
        assert_eq!(fs::metadata(blobs.path(name)).unwrap().permissions().mode() & 0o600, 0o600);
        let sizes = |begun| blobs.leftovers(begun).unwrap().iter().map(|(_, size)| *size).sum::<u64>();
        assert_eq!((sizes(true), sizes(false), blobs.list().unwrap()), (400, 0, vec![(name, 5)]));
    }
}
