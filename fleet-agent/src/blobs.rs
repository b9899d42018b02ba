//! Bytes named by their BLAKE3 hash, one file each.
//!
//! A blob is written beside its place, synced, and renamed: a name that exists has its whole content, after a power cut
//! too. Every whole read is checked against the name.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bitacora_core::ids::Digest;

/// A folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {0} is not here")]
    Missing(Digest),
    #[error("blob {0} does not have the content its name says and was set aside as {1}")]
    Corrupt(Digest, PathBuf),
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
        Ok(Blobs { folder: folder.to_owned() })
    }

    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_hex();
        self.folder.join(&hex[..2]).join(&hex[2..])
    }

    /// Keeps the bytes; a blob that is here already, and sound, is not written again.
    pub fn write(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = digest(bytes);
        let path = self.path(name);
        if self.read(name).is_ok() {
            return Ok(name);
        }
        let folder = path.parent().expect("a blob lies in a folder");
        self.create_shard(folder).map_err(BlobError::io("create", folder))?;
        let beside = folder.join(format!("{}.{}.part", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let written = File::create_new(&beside).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()));
        let synced = || File::open(folder).and_then(|folder| folder.sync_all());
        written.and_then(|()| fs::rename(&beside, &path)).and_then(|()| synced()).map_err(|source| {
            // The disk may be full: what was begun is taken away again, as far as that works.
            let _ = fs::remove_file(&beside);
            BlobError::Io { operation: "write", path: path.clone(), source }
        })?;
        Ok(name)
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

    /// Removes what writers that were killed left behind, and damaged blobs that were set aside. For when nobody writes.
    pub fn sweep(&self) -> Result<u64, BlobError> {
        let mut swept = 0;
        for folder in fs::read_dir(&self.folder).map_err(BlobError::io("list", &self.folder))?.flatten() {
            for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "part" || extension == "damaged") {
                    swept += entry.metadata().map_or(0, |metadata| metadata.len());
                    fs::remove_file(&path).map_err(BlobError::io("remove", &path))?;
                }
            }
        }
        Ok(swept)
    }

    pub fn remove(&self, name: Digest) -> Result<(), BlobError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(BlobError::io("remove", &path))
    }
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
}
