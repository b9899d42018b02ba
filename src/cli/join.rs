//! `bitacora join`.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;
use fleet_agent::net::join::JoinError;

use super::{
    Context,
    manner::{self, Trial},
};
use crate::{
    control::remote::{Device, RemoteError},
    exit::Exit,
};

/// A join token is one line of about a hundred characters.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Makes this device one that a fleet elsewhere is commanded with, by a token of `bitacora node token NAME --operator RIGHT`.
///
/// From then on `bitacora --connect FLEET COMMAND` asks that fleet's master.
#[derive(Args)]
pub(super) struct Join {
    /// Where the master is: HOST, or HOST:PORT
    master: String,
    /// A file with the token, or - for stdin; never the token itself, which other users would see
    #[arg(long, value_name = "FILE")]
    join_file: PathBuf,
    /// What the fleet is called here, instead of its master's host
    #[arg(long = "as", value_name = "FLEET")]
    name: Option<String>,
    #[command(flatten)]
    trial: Trial,
}

impl Join {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let mut token = zeroize::Zeroizing::new(String::new());
        let read = match self.join_file.as_os_str().as_encoded_bytes() {
            b"-" => io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token),
            _ => File::open(&self.join_file).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut token)),
        };
        read.with_context(|| format!("cannot read {}", self.join_file.display()))?;
        let (device, token) = Device::planned(&context.data.fleets(), self.name.as_deref(), &self.master, &token)?;
        if self.trial.dry_run {
            let plan = format!("spend the token at {} and join its fleet, called {} here", self.master, device.name);
            return Ok(manner::tell(context, Some(&plan)));
        }
        let joined = device.join(&token);
        match &joined {
            Err(error) if error.is_about_reach() => {
                context.streams.note("a master listens for that only while a token is open, on the port after the one for nodes");
            }
            Err(RemoteError::Join(JoinError::Carrier(error))) if error.is_distrust() => {
                context.streams.note("who answers there is not the master that made this token");
            }
            _ => {}
        }
        let peer = joined?;
        context.streams.note(&format!("joined as {} ({}): `bitacora --connect {} node ls`", peer.node, peer.roles, device.name));
        Ok(Exit::Ok)
    }
}
