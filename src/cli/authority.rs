//! `bitacora authority …`: what opens the key that signs the certificates of the fleet's nodes.

use clap::Subcommand;

use super::{Context, passphrase::PassphraseSource};
use crate::exit::Exit;

/// The fleet's authority: sealed with a key beside your configuration, or with a passphrase
#[derive(Subcommand)]
pub(super) enum AuthorityCommand {
    /// Seals it with a passphrase, which every later `serve` needs
    Protect(PassphraseSource),
    /// Seals it with a key in a file again, so that `serve` starts without a person
    Unprotect(PassphraseSource),
}

impl AuthorityCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let safe = context.data.safe()?;
        let (protect, source) = match self {
            AuthorityCommand::Protect(source) => (true, source),
            AuthorityCommand::Unprotect(source) => (false, source),
        };
        if safe.is_protected()? == protect {
            context.streams.note(if protect { "refused: it is sealed with a passphrase already" } else { "refused: it is sealed with no passphrase" });
            return Ok(Exit::Refused);
        }
        let passphrase = if protect { source.chosen()? } else { source.known()? };
        let Some(authority) = safe.open(Some(&passphrase))? else {
            context.streams.note("there is no authority yet; the first `bitacora serve` makes one");
            return Ok(Exit::NoMatch);
        };
        safe.keep(&authority, protect.then_some(&passphrase))?;
        Ok(Exit::Ok)
    }
}
