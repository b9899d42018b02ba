//! Small files that only their owner may read, replaced as a whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::TlsError;

/// Keys and certificates are some 2 KiB.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Writes beside the place, syncs and renames: after a power cut the file is the old one or the new one.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), TlsError> {
    let (place, beside) = (folder.join(name), folder.join(format!("{name}.new")));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error("create", folder))?;
    write_new(&beside, bytes).map_err(io_error("write", &beside))?;
    fs::rename(&beside, &place).map_err(io_error("rename to", &place))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

/// Reads a whole file. One that others can read is refused: what it holds may be known to them.
pub fn read(folder: &Path, name: &str) -> Result<Vec<u8>, TlsError> {
    let path = folder.join(name);
    let file = File::open(&path).map_err(io_error("open", &path))?;
    let mode = file.metadata().map_err(io_error("look at", &path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TlsError::Exposed { path, mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
    Ok(bytes)
}

/// Removes one if it is there; after a power cut it does not come back.
pub fn remove(folder: &Path, name: &str) -> Result<(), TlsError> {
    let place = folder.join(name);
    match fs::remove_file(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| File::open(folder)?.sync_all()).map_err(io_error("remove", &place)),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a crash left behind may have another mode, so it is not reused.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TlsError {
    move |source| TlsError::Io { operation, path: path.to_owned(), source }
}
