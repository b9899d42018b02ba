//! The data directory: one master at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use fleet_agent::blobs::BlobError;

use crate::{logs::Logs, trust::Safe};

/// A data directory; [`DataDirectory::lock`] makes this process its master.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    root: PathBuf,
}

/// Held for as long as this process is the master of the directory.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("there is no home directory to keep data in; name a folder with --data-dir")]
    NoHome,
    #[error("cannot {operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
}

impl DataDirectory {
    /// The given folder, or the platform's one for this program; it is made if it is missing.
    pub fn open(given: Option<&Path>) -> Result<DataDirectory, DataError> {
        let root = DataDirectory::place(given)?;
        fs::create_dir_all(&root).map_err(|source| DataError::Io { operation: "create", path: root.clone(), source })?;
        Ok(DataDirectory { root })
    }

    /// The same, if it is there.
    pub fn existing(given: Option<&Path>) -> Option<DataDirectory> {
        DataDirectory::place(given).ok().filter(|root| root.is_dir()).map(|root| DataDirectory { root })
    }

    /// Where it is, or would be.
    pub fn place(given: Option<&Path>) -> Result<PathBuf, DataError> {
        match given {
            Some(path) => Ok(path.to_owned()),
            None => Ok(etcetera::choose_base_strategy().map_err(|_| DataError::NoHome)?.data_dir().join("bitacora")),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.sqlite")
    }

    /// Where the running master listens.
    pub fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    pub fn manifests(&self) -> PathBuf {
        self.root.join("results")
    }

    /// What commands wrote.
    pub fn logs(&self) -> Result<Logs, BlobError> {
        Logs::open(&self.root.join("live"), &self.root.join("logs"))
    }

    /// Indexes of symbols' names, one a project: derived, and made again where they are not there.
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// What makes this device one of fleets elsewhere: a folder for each.
    pub fn fleets(&self) -> PathBuf {
        self.root.join("fleets")
    }

    /// Keys and certificates.
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// Where what opens the fleet's authority is kept: apart from all data directories, so that a copy of one is of no use alone.
    pub fn keys() -> Result<PathBuf, DataError> {
        let base = etcetera::choose_base_strategy().map_err(|_| DataError::NoHome)?;
        Ok(base.state_dir().unwrap_or_else(|| base.config_dir()).join("bitacora").join("keys"))
    }

    /// The fleet's authority.
    pub fn safe(&self) -> Result<Safe, DataError> {
        Ok(Safe::new(self.trust(), DataDirectory::keys()?))
    }

    /// The same folder as the cache's: see [`fleet_agent::cache::Cache`].
    pub fn packs(&self) -> PathBuf {
        self.root.join("packs")
    }

    /// Is somebody the master of this directory?
    pub fn is_served(&self) -> bool {
        let file = File::options().read(true).open(self.root.join("lock"));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The process that is the master of this directory.
    pub fn holder(&self) -> Option<u32> {
        let holder = self.is_served().then(|| fs::read_to_string(self.root.join("lock")).ok()).flatten();
        holder?.trim().parse().ok()
    }

    /// Waits for another master to end; `waiting` is told its process id once, if it must wait.
    pub fn lock(&self, waiting: impl FnOnce(&str)) -> Result<Lock, DataError> {
        let path = self.root.join("lock");
        let error = |operation| {
            let path = path.clone();
            move |source| DataError::Io { operation, path, source }
        };
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(error("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(error("read"))?;
                waiting(holder.trim());
                file.lock().map_err(error("lock"))?;
            }
            Err(TryLockError::Error(source)) => return Err(error("lock")(source)),
        }
        // For the notice above, so it need not be exact: a full disk must not keep a command from reading.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock { _file: file })
    }
}
