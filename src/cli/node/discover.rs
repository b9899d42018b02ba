//! `bitacora node discover`.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::{Context, ask, write_items};
use crate::{
    cli::attach,
    control::{Answer, NodeSeen, Request},
    exit::Exit,
    report::{Format, table::Column},
};

/// A node that starts now is heard within a second; so is every node by a master that starts now.
const HEARING_MAX: Duration = Duration::from_secs(3);
const HEARING_EVERY: Duration = Duration::from_millis(100);

/// Lists the nodes that announce themselves on the local network, whosever they are
///
/// It is a master that listens: where nobody serves, one is started in the background, which ends when nobody needs it.
#[derive(Args)]
pub(in crate::cli) struct Discover {
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Serialize)]
struct SeenItem {
    name: String,
    key: String,
    state: &'static str,
    protocol: String,
    addresses: Vec<String>,
}

impl SeenItem {
    fn of(seen: NodeSeen) -> SeenItem {
        // A paired node waits on no port.
        let addresses = seen.addresses.iter().map(|address| address.strip_suffix(":0").unwrap_or(address).to_owned()).collect();
        SeenItem { name: seen.name, key: seen.key, state: if seen.paired { "paired" } else { "unpaired" }, protocol: seen.protocol, addresses }
    }
}

impl Discover {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        attach::have_master_here(context)?;
        let seen = match hear(context, |seen| !seen.is_empty())? {
            Ok(seen) => seen,
            Err(exit) => return Ok(exit),
        };
        if seen.is_empty() {
            context.streams.note("no node announces itself; one that is not seen can be paired by its address: `bitacora node pair ADDR:PORT`");
        }
        let items: Vec<SeenItem> = seen.into_iter().map(SeenItem::of).collect();
        let columns = [Column::Text("Name"), Column::Text("Key"), Column::Text("State"), Column::Text("Protocol"), Column::Text("Addresses")];
        let rows = items.iter().map(|item| vec![item.name.clone(), item.key.clone(), item.state.to_owned(), item.protocol.clone(), item.addresses.join(" ")]);
        write_items(context, self.output, "discovered", &items, &columns, rows.collect(), |item| &item.name)
    }
}

/// What the master has heard, once it is enough or there was time for it. Otherwise the exit code, and it was said why.
pub(super) fn hear(context: &Context, is_enough: impl Fn(&[NodeSeen]) -> bool) -> anyhow::Result<Result<Vec<NodeSeen>, Exit>> {
    let begun = Instant::now();
    loop {
        match ask(context, &Request::Discovered)? {
            None => return Ok(Err(Exit::Unreachable)),
            Some(Answer::Discovered(seen)) if is_enough(&seen) || begun.elapsed() >= HEARING_MAX => return Ok(Ok(seen)),
            Some(Answer::Discovered(_)) => thread::sleep(HEARING_EVERY),
            Some(answer) => return Ok(Err(context.streams.conclude(&answer))),
        }
    }
}
