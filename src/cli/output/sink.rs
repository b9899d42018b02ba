//! Where a report goes: stdout, or a file. A file that is there keeps its mode, its owner and its other names, and a link stays one.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufWriter, IsTerminal, Seek, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

use crate::report::{table, text::harmless};

/// Fewer, larger writes: a report has many small pieces.
const BUFFER_BYTES: usize = 256 << 10;
/// As many links as the system follows; the next look at what they lead to says what is wrong.
const LINKS_MAX: usize = 40;

/// Somebody read what they wanted and closed the pipe: `| head` is no failure.
pub(super) static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Where a report goes: stdout, or a file that appears whole or not at all. Only where a file of other names or of another owner is
/// written to in its place can a process that is killed leave a part of it.
pub(in crate::cli) enum Sink {
    Stdout(BufWriter<io::Stdout>),
    /// Somewhere beside until it is closed; gone when it is dropped before.
    File {
        writer: BufWriter<NamedTempFile>,
        path: PathBuf,
        /// The file that is there, where another one cannot take its place: it has the new report once all of it is written.
        into: Option<File>,
    },
    /// A device, a pipe: what cannot be replaced is written to.
    Stream(BufWriter<File>),
}

impl Sink {
    pub(in crate::cli) fn open(path: Option<&Path>) -> anyhow::Result<Sink> {
        let Some(path) = path else { return Ok(Sink::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))) };
        let cannot = || format!("cannot create {}", path.display());
        match path.metadata() {
            Ok(there) if there.is_dir() => bail!("{} is a folder; name a file in it", path.display()),
            Ok(there) if there.is_file() => Sink::over(fs::canonicalize(path).with_context(cannot)?, &there).with_context(cannot),
            Ok(_) => {
                let file = File::options().write(true).open(path).with_context(cannot)?;
                Ok(Sink::Stream(BufWriter::with_capacity(BUFFER_BYTES, file)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let place = behind_links(path);
                if !folder_of(&place).is_dir() {
                    bail!("cannot create {}: there is no folder {}", path.display(), folder_of(&place).display());
                }
                Sink::new_at(place).with_context(cannot)
            }
            Err(error) => Err(error).with_context(cannot),
        }
    }

    fn new_at(path: PathBuf) -> io::Result<Sink> {
        let readable_by_umask = fs::Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(readable_by_umask).tempfile_in(folder_of(&path))?;
        Ok(Sink::File { writer: BufWriter::with_capacity(BUFFER_BYTES, file), path, into: None })
    }

    /// Another file takes its place if that makes no difference but to its content. Otherwise it is written to when all is there.
    fn over(path: PathBuf, there: &Metadata) -> io::Result<Sink> {
        // Whoever may not write to it may not replace it either.
        let present = File::options().write(true).open(&path)?;
        let beside = tempfile::Builder::new().tempfile_in(folder_of(&path)).ok().filter(|beside| may_replace(beside.as_file(), there));
        let into = beside.is_none().then_some(present);
        let file = match beside {
            Some(beside) => beside,
            None => NamedTempFile::new()?,
        };
        Ok(Sink::File { writer: BufWriter::with_capacity(BUFFER_BYTES, file), path, into })
    }

    /// A name and the end of its line: byte for byte, but for a person's terminal, which might obey some of it.
    pub(in crate::cli) fn name(&mut self, name: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout(writer) if writer.get_ref().is_terminal() => writeln!(self, "{}", harmless(&String::from_utf8_lossy(name))),
            _ => self.write_all(name).and_then(|()| self.write_all(b"\n")),
        }
    }

    /// Flushes, and puts a file in its place.
    pub(in crate::cli) fn close(mut self) -> anyhow::Result<()> {
        self.flush().context("cannot write the output")?;
        if let Sink::File { writer, path, into } = self {
            let cannot = || format!("cannot write {}", path.display());
            let file = writer.into_inner().map_err(io::IntoInnerError::into_error).with_context(cannot)?;
            match into {
                Some(present) => copy_into(present, file).with_context(cannot)?,
                None => {
                    file.as_file().sync_data().with_context(cannot)?;
                    file.persist(&path).with_context(cannot)?;
                }
            }
        }
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file that a chain of links names which is not there yet.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(next) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(next);
    }
    path
}

/// Does the new file have the old one's owner, and mode, and has the old one no other name?
fn may_replace(beside: &File, there: &Metadata) -> bool {
    let same_owner = beside.metadata().is_ok_and(|beside| (beside.uid(), beside.gid()) == (there.uid(), there.gid()));
    there.nlink() == 1 && same_owner && beside.set_permissions(there.permissions()).is_ok()
}

/// Room for all of it is taken before the first byte is written: on a disk that is too full what was there stays.
fn copy_into(mut present: File, mut file: NamedTempFile) -> io::Result<()> {
    let bytes = file.as_file().metadata()?.len();
    take_room(&present, bytes)?;
    file.rewind()?;
    io::copy(&mut file, &mut present)?;
    present.set_len(bytes)?;
    present.sync_data()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn take_room(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::{
        fs::{FallocateFlags, fallocate},
        io::Errno,
    };
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes.max(1)) {
        // Not every file system can promise it.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => {
            // What it got is given back; the file is as long as before.
            let _ = file.metadata().and_then(|there| file.set_len(there.len()));
            Err(error.into())
        }
        Ok(()) => Ok(()),
    }
}

/// Where nobody promises room that is not used yet, a full disk is met while it is written.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn take_room(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

impl table::Target for Sink {
    fn is_colored(&self) -> bool {
        matches!(self, Sink::Stdout(writer) if anstream::AutoStream::choice(writer.get_ref()) != anstream::ColorChoice::Never)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(writer) => noticing(writer.write(bytes)),
            Sink::File { writer, .. } => writer.write(bytes),
            Sink::Stream(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(writer) => noticing(writer.flush()),
            Sink::File { writer, .. } => writer.flush(),
            Sink::Stream(writer) => writer.flush(),
        }
    }
}

fn noticing<T>(written: io::Result<T>) -> io::Result<T> {
    if matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe) {
        STDOUT_CLOSED.store(true, Ordering::Relaxed);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) -> anyhow::Result<()> {
        let mut sink = Sink::open(Some(path))?;
        sink.write_all(text.as_bytes())?;
        sink.close()
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn a_file_that_is_there_keeps_its_mode_its_links_and_its_other_names() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("file"), "old").unwrap();
        fs::set_permissions(path("file"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        write(&path("link"), "new").unwrap();
        assert_eq!((fs::read_to_string(path("file")).unwrap().as_str(), mode(&path("file"))), ("new", 0o640));
        assert_eq!(fs::read_link(path("link")).unwrap(), Path::new("file"));
        fs::hard_link(path("file"), path("twin")).unwrap();
        write(&path("file"), "newest").unwrap();
        assert_eq!(fs::read_to_string(path("twin")).unwrap(), "newest");
        assert_eq!(path("file").metadata().unwrap().nlink(), 2);
        write(&path("twin"), "short").unwrap();
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "short");
        std::os::unix::fs::symlink("nobody", path("nowhere")).unwrap();
        write(&path("nowhere"), "there").unwrap();
        assert_eq!(fs::read_to_string(path("nobody")).unwrap(), "there");
        assert!(path("nowhere").is_symlink());
        std::os::unix::fs::symlink("circle", path("circle")).unwrap();
        assert!(write(&path("circle"), "").is_err());
    }

    #[test]
    fn what_is_not_ended_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let (file, twin) = (place.path().join("file"), place.path().join("twin"));
        fs::write(&file, "old").unwrap();
        let begin = || Sink::open(Some(&file)).unwrap().write_all(b"half").unwrap();
        begin();
        fs::hard_link(&file, &twin).unwrap();
        begin();
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), fs::read_dir(place.path()).unwrap().count()), ("old", 2));
    }
}
