//! A project's folder, and files in it: never outside of it, whatever lies or appears in between.
//!
//! A path's parts may be replaced by links between listing and reading, and on a node a path comes from elsewhere. So
//! files are opened below the folder's own descriptor and through no link at all: by `openat2` (Linux 5.6), or part by
//! part where a kernel or a sandbox does not know it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use bitacora_core::paths::RelativePath;
use rustix::fs::{Mode, OFlags, openat};
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::{
    fs::{ResolveFlags, openat2},
    io::Errno,
};

/// Never waits for a FIFO, never becomes the terminal's process.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
}

impl Root {
    pub fn open(path: &Path) -> io::Result<Root> {
        Ok(Root { folder: rustix::fs::open(path, FOLDER, Mode::empty())? })
    }

    /// Opens a file for reading.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn file(&self, path: &RelativePath) -> io::Result<File> {
        self.file_part_by_part(path)
    }

    /// Opens a file for reading.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn file(&self, path: &RelativePath) -> io::Result<File> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.folder, path.as_bytes(), READ, Mode::empty(), beneath) {
            // EPERM is how some sandboxes say that they do not know a call.
            Err(Errno::NOSYS | Errno::PERM) => self.file_part_by_part(path),
            opened => Ok(opened?.into()),
        }
    }

    fn file_part_by_part(&self, path: &RelativePath) -> io::Result<File> {
        let mut parts = path.as_bytes().split(|byte| *byte == b'/').peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(part) = parts.next() {
            let below: BorrowedFd<'_> = folder.as_ref().map_or(self.folder.as_fd(), |folder| folder.as_fd());
            if parts.peek().is_none() {
                return Ok(openat(below, part, READ, Mode::empty())?.into());
            }
            let next = openat(below, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            folder = Some(next);
        }
        unreachable!("a path has a last part")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn no_link_leads_out_of_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("in"), place.path().join("out"));
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(inside.join("a/b/file"), "here").unwrap();
        fs::write(outside.join("file"), "secret").unwrap();
        symlink(&outside, inside.join("a/link")).unwrap();
        symlink(outside.join("file"), inside.join("a/file")).unwrap();
        symlink("b", inside.join("a/within")).unwrap();
        let root = Root::open(&inside).unwrap();
        let path = |path: &str| RelativePath::new(path.into()).unwrap();
        for open in [Root::file, Root::file_part_by_part] {
            let mut text = String::new();
            open(&root, &path("a/b/file")).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "here");
            for refused in ["a/link/file", "a/file", "a/within/file"] {
                assert!(open(&root, &path(refused)).is_err(), "{refused}");
            }
            assert_eq!(open(&root, &path("a/none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
