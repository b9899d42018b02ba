//! The fleet as it was shown last, on the disk: the next dashboard draws it before the master has answered, and says how old it is.

use std::{
    fs, io,
    io::{Read, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use bitacora_core::time::Time;
use serde::{Deserialize, Serialize};

use crate::control::Snapshot;

/// A program of another format looks at nothing.
const FORMAT: u32 = 1;
/// A dashboard that is killed has lost no more than this.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Ten thousand nodes take a few megabytes.
const BYTES_MAX: u64 = 64 << 20;

/// Where it is kept.
pub struct Memory {
    path: PathBuf,
    kept_at: Option<Instant>,
}

#[derive(Serialize, Deserialize)]
struct Kept<Fleet> {
    format: u32,
    /// On this machine's clock.
    at: Time,
    fleet: Fleet,
}

impl Memory {
    pub fn new(path: PathBuf) -> Memory {
        Memory { path, kept_at: None }
    }

    /// What was shown last, and when. What cannot be read is nothing.
    pub fn recall(&self) -> Option<(Time, Snapshot)> {
        let mut bytes = Vec::new();
        fs::File::open(&self.path).ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let kept: Kept<Snapshot> = rmp_serde::from_slice(&bytes).ok()?;
        (kept.format == FORMAT).then_some((kept.at, kept.fleet))
    }

    pub fn is_due(&self) -> bool {
        self.kept_at.is_none_or(|at| at.elapsed() >= KEEP_EVERY)
    }

    /// The next dashboard does without it if it cannot be written.
    pub fn keep(&mut self, at: Time, fleet: &Snapshot) {
        self.kept_at = Some(Instant::now());
        let _ = self.write(&Kept { format: FORMAT, at, fleet });
    }

    fn write(&self, kept: &Kept<&Snapshot>) -> io::Result<()> {
        let bytes = rmp_serde::to_vec_named(kept).map_err(io::Error::other)?;
        let mut beside = tempfile::NamedTempFile::new_in(self.path.parent().ok_or(io::ErrorKind::NotFound)?)?;
        beside.write_all(&bytes)?;
        beside.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::samples;

    #[test]
    fn what_was_kept_is_recalled_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = Memory::new(folder.path().join("last"));
        assert!(memory.recall().is_none() && memory.is_due());
        let fleet = samples::fleet();
        memory.keep(Time(7), &fleet);
        assert!(!memory.is_due());
        assert_eq!(memory.recall(), Some((Time(7), fleet.clone())));
        let whole = fs::read(&memory.path).unwrap();
        fs::write(&memory.path, &whole[..whole.len() / 2]).unwrap();
        assert!(memory.recall().is_none(), "it is damaged");
        fs::write(&memory.path, rmp_serde::to_vec_named(&Kept { format: 2, at: Time(7), fleet: &fleet }).unwrap()).unwrap();
        assert!(memory.recall().is_none(), "it is of another format");
    }
}
