//! `bitacora import`.

use std::{fs::File, io::Read, path::PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::Context;
use crate::{
    archive::{self, ArchiveError},
    exit::Exit,
    report::text::{bytes, grouped},
};

/// Reads what `bitacora export` wrote into an empty data directory.
#[derive(Args)]
pub(super) struct Import {
    /// The archive, or - for stdin
    file: PathBuf,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let from: Box<dyn Read> = match self.file.as_os_str().as_encoded_bytes() {
            b"-" => Box::new(std::io::stdin().lock()),
            _ => Box::new(File::open(&self.file).with_context(|| format!("cannot open {}", self.file.display()))?),
        };
        let waiting = |holder: &str| context.streams.note(&format!("waiting for bitacora (process {holder}) to end"));
        let contents = match archive::import(&context.data, from, waiting) {
            Err(error @ ArchiveError::Occupied { .. }) => {
                context.streams.note(&format!("refused: {error}"));
                return Ok(Exit::Refused);
            }
            imported => imported?,
        };
        let (projects, blobs) = (grouped(contents.projects as u64), grouped(contents.results + contents.packs));
        context.streams.note(&format!("imported {projects} projects, {blobs} blobs, {}", bytes(contents.bytes)));
        Ok(Exit::Ok)
    }
}
