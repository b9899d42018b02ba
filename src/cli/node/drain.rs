//! `bitacora node drain`.

use std::time::{Duration, Instant};

use bitacora_core::{ids::NodeId, time::Span};
use clap::Args;

use super::{Context, ask, command, find, nodes};
use crate::{
    cli::{duration, manner::Trial},
    control::{Answer, Cause, HeldSpark, NodeDetail, NodeWish, Request},
    exit::Exit,
    master,
    report::text::{counted, seconds, timestamp},
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So many of the sparks that are waited for are named.
const NAMED_MAX: usize = 5;

/// Empties a node: it is given nothing, finishes what it has, and stays cordoned
///
/// What it still has at the deadline is called back and given to others, and counts as nobody's fault. While it waits
/// this command says what for; it may be interrupted, the node is drained all the same.
#[derive(Args)]
pub(in crate::cli) struct Drain {
    /// Its name or id
    node: String,
    /// How long it may finish what it has: 90, 90s, 5m, 2h or 1d; ten minutes if not given
    #[arg(long, value_name = "D", value_parser = duration::span)]
    deadline: Option<Span>,
    /// Waits until the node is empty, which is what happens anyway
    #[arg(long, conflicts_with = "detach")]
    wait: bool,
    /// Does not wait
    #[arg(long)]
    detach: bool,
    /// Gives up waiting after so many seconds; the node is drained all the same
    #[arg(long, value_name = "SECONDS", conflicts_with = "detach")]
    timeout: Option<u64>,
    #[command(flatten)]
    trial: Trial,
}

impl Drain {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Some(nodes) = nodes(context)? else { return Ok(Exit::Unreachable) };
        let Some(node) = find(context, &nodes, &self.node) else { return Ok(Exit::NoMatch) };
        let exit = command(context, &self.node, NodeWish::Drain { within: self.deadline }, &self.trial)?;
        if exit != Exit::Ok || self.detach || self.trial.dry_run { Ok(exit) } else { wait(context, node, &self.node, self.timeout) }
    }
}

/// Until the node is empty; says what it waits for each time that this has changed.
fn wait(context: &Context, node: NodeId, name: &str, timeout: Option<u64>) -> anyhow::Result<Exit> {
    let (begun, mut told) = (Instant::now(), Vec::new());
    loop {
        let detail = match ask(context, &Request::NodeDetail { node })? {
            None => return Ok(Exit::Unreachable),
            Some(Answer::Node(detail)) => detail,
            Some(Answer::Busy) => continue,
            Some(answer) => return Ok(context.streams.conclude(&answer)),
        };
        match &detail.state.cause {
            Some(Cause::Draining { .. }) => {}
            Some(Cause::Drained { .. }) => {
                context.streams.note(&format!("node {name} is drained, and cordoned until `bitacora node uncordon`"));
                return Ok(Exit::Ok);
            }
            Some(Cause::Stopped { .. }) | None => {
                context.streams.note(&format!("node {name} is {} now: somebody else decided otherwise", detail.state.availability));
                return Ok(Exit::Failure);
            }
        }
        if told != detail.holds {
            context.streams.note(&waits_for(&detail));
            told = detail.holds;
        }
        if timeout.is_some_and(|seconds| begun.elapsed().as_secs() >= seconds) {
            context.streams.note(&format!("node {name} still has {}; it goes on draining", told.len()));
            return Ok(Exit::TimedOut);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn waits_for(detail: &NodeDetail) -> String {
    let now = master::now();
    let name = |held: &HeldSpark| format!("{} (for {})", held.spark, seconds((now - held.since).as_secs_f64()));
    let named: Vec<String> = detail.holds.iter().take(NAMED_MAX).map(name).collect();
    let more = detail.holds.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let until = match &detail.state.cause {
        Some(Cause::Draining { until }) => format!("; what is left is moved at {}", timestamp(*until)),
        _ => String::new(),
    };
    format!("waits for {}: {}{more}{until}", counted(detail.holds.len() as u64, "spark"), named.join(", "))
}
