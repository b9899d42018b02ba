//! `bitacora export`.

use std::path::PathBuf;

use clap::Args;

use super::{
    Context,
    output::{Sink, UsageError},
};
use crate::{
    archive,
    exit::Exit,
    report::text::{bytes, grouped},
};

/// Writes projects, jobs and last results to one file, for a backup or another device.
///
/// The file is a tar archive. `bitacora import` reads it.
#[derive(Args)]
pub(super) struct Export {
    /// Where to; stdout without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leaves out the records of files: smaller, but symbols and full reports need a new analysis
    #[arg(long)]
    no_packs: bool,
}

impl Export {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.out.is_none() && context.streams.stdout_is_terminal {
            return Err(UsageError("an archive is not for a terminal; name a file with --out, or redirect".to_owned()).into());
        }
        let mut sink = Sink::open(self.out.as_deref())?;
        let contents = archive::export(&context.data, !self.no_packs, &mut sink)?;
        sink.close()?;
        let (projects, blobs) = (grouped(contents.projects as u64), grouped(contents.results + contents.packs));
        context.streams.note(&format!("exported {projects} projects, {blobs} blobs, {}", bytes(contents.bytes)));
        Ok(Exit::Ok)
    }
}
