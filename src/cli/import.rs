//! `bitacora import`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use fleet_agent::work::with_cause;

use super::{
    Context,
    manner::{self, Trial},
    output::UsageError,
    passphrase::PassphraseSource,
};
use crate::{
    archive::{self, ArchiveError},
    control,
    exit::Exit,
    report::text::{bytes, counted},
    trust::TrustError,
};

/// Reads what `bitacora export` wrote into an empty data directory.
#[derive(Args)]
pub(super) struct Import {
    /// The archive, or - for stdin
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseSource,
    #[command(flatten)]
    trial: Trial,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.passphrase.is_stdin() && self.file == Path::new("-") {
            return Err(UsageError("the archive and its passphrase cannot both come from stdin".to_owned()).into());
        }
        if context.is_served_for_good()? {
            return Ok(Exit::Refused);
        }
        let from: Box<dyn Read> = match self.file.as_os_str().as_encoded_bytes() {
            b"-" => Box::new(std::io::stdin().lock()),
            _ => Box::new(File::open(&self.file).with_context(|| format!("cannot open {}", self.file.display()))?),
        };
        let waiting = |holder: &str| context.streams.note(&format!("waiting for bitacora (process {holder}) to end"));
        let mut asked = Ok(());
        let passphrase = || self.passphrase.known().map_err(|error| asked = Err(error)).ok();
        let imported = match self.trial.dry_run {
            true => archive::examine(&context.data, from, passphrase),
            false => archive::import(&context.data, from, control::this_user(), passphrase, waiting),
        };
        asked?;
        let contents = match imported {
            Err(error @ (ArchiveError::Occupied { .. } | ArchiveError::Trust(TrustError::Occupied(_)))) => {
                context.streams.note(&format!("refused: {}", with_cause(&error)));
                return Ok(Exit::Refused);
            }
            imported => imported.with_context(|| format!("cannot import {}", self.file.display()))?,
        };
        let (projects, blobs) = (counted(contents.projects as u64, "project"), counted(contents.results + contents.packs, "blob"));
        if self.trial.dry_run {
            let authority = if contents.with_authority { ", and the fleet's authority" } else { "" };
            return Ok(manner::tell(context, Some(&format!("import {projects}, {blobs}, {}{authority}", bytes(contents.bytes)))));
        }
        context.streams.note(&format!("imported {projects}, {blobs}, {}", bytes(contents.bytes)));
        if contents.with_authority {
            context.streams.note("the fleet goes on here: serve where its nodes look for their master, and never again from where this came from");
        }
        Ok(Exit::Ok)
    }
}
