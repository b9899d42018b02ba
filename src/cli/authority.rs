//! `bitacora authority …`: what opens the key that signs the certificates of the fleet's nodes.

use clap::{Args, Subcommand};

use super::{
    Context,
    manner::{self, Trial},
    passphrase::PassphraseSource,
};
use crate::exit::Exit;

/// The fleet's authority: sealed with a key beside your configuration, or with a passphrase
#[derive(Subcommand)]
pub(super) enum AuthorityCommand {
    /// Seals it with a passphrase, which every later `serve` needs
    Protect(Seal),
    /// Seals it with a key in a file again, so that `serve` starts without a person
    Unprotect(Seal),
}

// Not a doc comment: clap would take it for what the command does.
#[derive(Args)]
pub(super) struct Seal {
    #[command(flatten)]
    source: PassphraseSource,
    #[command(flatten)]
    trial: Trial,
}

impl AuthorityCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let safe = context.data.safe()?;
        let (protect, Seal { source, trial }) = match self {
            AuthorityCommand::Protect(seal) => (true, seal),
            AuthorityCommand::Unprotect(seal) => (false, seal),
        };
        if safe.is_protected()? == protect {
            context.streams.note(if protect { "refused: it is sealed with a passphrase already" } else { "refused: it is sealed with no passphrase" });
            return Ok(Exit::Refused);
        }
        if trial.dry_run {
            if !safe.is_there()? {
                return Ok(no_authority(context));
            }
            if source.is_given() {
                if protect {
                    source.chosen()?
                } else {
                    source.known()?
                };
            }
            let plan = if protect { "seal the authority with a passphrase" } else { "seal the authority with a key in a file" };
            return Ok(manner::tell(context, Some(plan)));
        }
        let passphrase = if protect { source.chosen()? } else { source.known()? };
        let Some(authority) = safe.open(Some(&passphrase))? else { return Ok(no_authority(context)) };
        safe.keep(&authority, protect.then_some(&passphrase))?;
        Ok(Exit::Ok)
    }
}

fn no_authority(context: &Context) -> Exit {
    context.streams.note("there is no authority yet; the first `bitacora serve` makes one");
    Exit::NoMatch
}
