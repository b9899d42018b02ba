//! What commands wrote: so far, while they run, and whole once they have ended.
//!
//! What is shown while a command runs may have gaps, where a link was lost; the whole log arrives with the result, checked
//! against its name. Nothing here knows which attempts count.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bitacora_core::{
    ids::{Attempt, Digest, JobId, SparkId},
    wire::{command::OUTPUT_BYTES_MAX, message::Output},
};
use fleet_agent::blobs::{BlobError, Blobs};

/// The logs of a data directory.
#[derive(Clone, Debug)]
pub struct Logs {
    live: PathBuf,
    kept: Blobs,
}

impl Logs {
    pub fn open(live: &Path, kept: &Path) -> Result<Logs, BlobError> {
        Ok(Logs { live: live.to_owned(), kept: Blobs::open(kept)? })
    }

    /// Those of commands that have ended.
    pub fn kept(&self) -> &Blobs {
        &self.kept
    }

    pub fn read(&self, name: Digest) -> Result<Vec<u8>, BlobError> {
        self.kept.read(name)
    }

    /// Where the output of a running attempt can be watched.
    pub fn live(&self, spark: SparkId, attempt: Attempt) -> PathBuf {
        self.live.join(spark.job.to_string()).join(format!("{}.{}", spark.number, attempt.0))
    }

    /// Adds what a running command wrote.
    pub fn show(&self, output: &Output) -> io::Result<()> {
        if output.offset.saturating_add(output.bytes.len() as u64) > OUTPUT_BYTES_MAX {
            return Err(io::Error::other("more than a command's output may have"));
        }
        let path = self.live(output.spark, output.attempt);
        fs::create_dir_all(path.parent().expect("a log lies in its job's folder"))?;
        File::options().write(true).create(true).truncate(false).open(&path)?.write_all_at(&output.bytes, output.offset)
    }

    /// Nothing of this job runs any more.
    pub fn forget(&self, job: JobId) {
        // A job without a command that said something has none.
        let _ = fs::remove_dir_all(self.live.join(job.to_string()));
    }

    /// What an earlier master was shown.
    pub fn forget_all(&self) {
        let _ = fs::remove_dir_all(&self.live);
    }
}
