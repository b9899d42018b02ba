//! `bitacora export`.

use std::path::PathBuf;

use anyhow::Context as _;
use bitacora_core::fleet::{Event, Settings};
use clap::Args;
use fleet_agent::net::tls::Authority;

use super::{
    Context,
    output::{Sink, UsageError},
    passphrase::PassphraseSource,
};
use crate::{
    archive::{self, Leaving},
    control::{Answer, Request},
    exit::Exit,
    master::Master,
    report::text::{bytes, counted},
    trust::Passphrase,
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
    /// With the fleet's authority, sealed with a passphrase: with it the fleet goes on from another device
    ///
    /// Where `serve` takes a passphrase it is that one, and a new one otherwise.
    #[arg(long)]
    with_authority: bool,
    #[command(flatten)]
    passphrase: PassphraseSource,
}

impl Export {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.out.is_none() && context.streams.stdout_is_terminal {
            return Err(UsageError("an archive is not for a terminal; name a file with --out, or redirect".to_owned()).into());
        }
        if self.passphrase.is_given() && !self.with_authority {
            return Err(UsageError("a passphrase is of use with --with-authority only".to_owned()).into());
        }
        if !context.data.journal().exists() {
            context.streams.note(&format!("there is nothing to export in {}", context.data.root().display()));
            return Ok(Exit::NoMatch);
        }
        let leaving = self.with_authority.then(|| self.authority(context)).transpose()?;
        let leaving = leaving.as_ref().map(|(authority, passphrase)| Leaving { authority, passphrase });
        if leaving.is_some()
            && let Some(exit) = note_export(context)?
        {
            return Ok(exit);
        }
        let mut sink = Sink::open(self.out.as_deref())?;
        let contents = archive::export(&context.data, !self.no_packs, leaving, &mut sink)?;
        sink.close()?;
        let (projects, blobs) = (counted(contents.projects as u64, "project"), counted(contents.results + contents.packs, "blob"));
        context.streams.note(&format!("exported {projects}, {blobs}, {}", bytes(contents.bytes)));
        Ok(Exit::Ok)
    }

    fn authority(&self, context: &Context) -> anyhow::Result<(Authority, Passphrase)> {
        let safe = context.data.safe()?;
        let passphrase = if safe.is_protected()? { self.passphrase.known()? } else { self.passphrase.chosen()? };
        let authority = safe.open(Some(&passphrase))?.context("there is no authority to export yet; the first `bitacora serve` makes one")?;
        Ok((authority, passphrase))
    }
}

/// Before anything leaves: an export that nobody knows of would be worse than one that came to nothing. An exit code where it
/// could not be written down.
fn note_export(context: &Context) -> anyhow::Result<Option<Exit>> {
    match context.ask(&Request::ExportAuthority)? {
        Some(Answer::Done) => Ok(None),
        Some(answer) => Ok(Some(context.streams.conclude(&answer))),
        None => {
            let waits = |holder: &str| context.streams.note(&format!("waiting for another bitacora (process {holder}) to end"));
            Master::open(&context.data, Settings::default(), waits)?.request(Event::AuthorityExported)?;
            Ok(None)
        }
    }
}
