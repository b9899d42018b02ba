//! Nodes as they are told of, and what a person can do to one.

use std::{collections::BTreeSet, net::SocketAddr};

use bitacora_core::{
    fleet::NodeCommand,
    ids::SparkId,
    time::{Span, Time},
    wire::node::{Labels, Load, NodeProfile},
};
use serde::{Deserialize, Serialize};

use crate::report::text::counted;

/// In a sentence; the rest is counted.
const PROJECTS_NAMED_MAX: usize = 3;

/// [`NodeCommand`] as it is spoken on the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeWish {
    Cordon,
    Uncordon,
    Remove,
    Drain { within: Option<Span> },
    Stop { reason: String },
    Relabel { set: Labels, unset: Vec<String> },
    Call { addresses: Vec<SocketAddr> },
}

impl From<NodeWish> for NodeCommand {
    fn from(wish: NodeWish) -> NodeCommand {
        match wish {
            NodeWish::Cordon => NodeCommand::Cordon,
            NodeWish::Uncordon => NodeCommand::Uncordon,
            NodeWish::Remove => NodeCommand::Remove,
            NodeWish::Drain { within } => NodeCommand::Drain { within },
            NodeWish::Stop { reason } => NodeCommand::Stop { reason },
            NodeWish::Relabel { set, unset } => NodeCommand::Relabel { set, unset },
            NodeWish::Call { addresses } => NodeCommand::Call { addresses },
        }
    }
}

/// A node that announces itself, whosever it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSeen {
    pub name: String,
    /// Tells nodes of one name apart.
    pub key: String,
    pub paired: bool,
    pub protocol: String,
    /// The best one first, with its port, which is 0 where a paired node cannot be called. As text, like those of [`super::Request::Pair`].
    pub addresses: Vec<String>,
}

/// A node of the fleet, linked or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    pub id: String,
    pub name: String,
    /// `worker`, or `hybrid` of the master's own machine.
    pub role: String,
    pub availability: String,
    /// Why it is given nothing, where that has a reason.
    pub cause: Option<Cause>,
    pub health: String,
    /// Is there a link to it now?
    pub linked: bool,
    pub slots: u32,
    /// Attempts that it holds.
    pub sparks: u32,
    /// The projects that those are about, by name.
    #[serde(default)]
    pub projects: Vec<String>,
    pub cores: u32,
    pub cpu_permille: u16,
    pub memory_bytes: u64,
    pub memory_available_bytes: u64,
    pub labels: Labels,
    /// Of those, what it was given here.
    #[serde(default)]
    pub given_labels: Labels,
    pub paired_at: Time,
    /// Of its program; empty for one that was not heard since this master began.
    #[serde(default)]
    pub version: String,
    /// Where its link comes from, or leads to.
    #[serde(default)]
    pub address: Option<String>,
    /// There and back over its link, in whole milliseconds; not known over a WebSocket.
    #[serde(default)]
    pub round_trip: Option<Span>,
}

/// What is hit where these nodes are emptied, stopped or removed: their sparks, and the projects that those are about. The dashboard's
/// question and `--dry-run` say the same.
pub fn blast_radius<'a>(nodes: impl IntoIterator<Item = (u32, &'a [String])>) -> String {
    let (mut sparks, mut projects) = (0, BTreeSet::new());
    for (held, about) in nodes {
        sparks += u64::from(held);
        projects.extend(about);
    }
    let named: Vec<&str> = projects.iter().take(PROJECTS_NAMED_MAX).map(|project| project.as_str()).collect();
    let more = projects.len() - named.len();
    match (sparks, named.is_empty(), more) {
        (0, ..) => "no spark".to_owned(),
        (_, true, _) => counted(sparks, "spark"),
        (_, _, 0) => format!("{} of {}", counted(sparks, "spark"), named.join(", ")),
        _ => format!("{} of {} and {more} more", counted(sparks, "spark"), named.join(", ")),
    }
}

/// What led to a node being given nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// What it still has then is moved.
    Draining {
        until: Time,
    },
    Drained {
        at: Time,
    },
    Stopped {
        at: Time,
        reason: String,
    },
}

/// What is known of a node: as it told itself, as it is, as it did since this master began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDetail {
    pub state: NodeState,
    pub profile: NodeProfile,
    pub load: Load,
    /// `None` while there is none.
    pub link: Option<LinkState>,
    /// Where this master calls it.
    pub called_at: Vec<SocketAddr>,
    /// `None` for one that was not heard since this master began.
    pub health_since: Option<Time>,
    /// It beats, and nothing of what it analyses has moved since then, which is too long.
    pub stalled_since: Option<Time>,
    pub holds: Vec<HeldSpark>,
    pub finished: u64,
    pub failed: u64,
    pub failed_permille: u16,
    pub bytes: u64,
    pub bytes_per_second: u64,
    pub average: Span,
    pub unsupported: u64,
}

/// What a node's messages come over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// `quic` or `websocket`.
    pub carrier: String,
    /// Where it comes from, or leads to where this master has called.
    pub address: String,
    /// There and back; not known over a WebSocket.
    pub round_trip: Option<Span>,
}

impl LinkState {
    /// For people.
    pub fn in_words(&self) -> String {
        let round_trip = self.round_trip.map_or_else(String::new, |span| format!(", {:.1} ms there and back", span.as_secs_f64() * 1e3));
        format!("{} from {}{round_trip}", self.carrier, self.address)
    }
}

/// An attempt that a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSpark {
    pub spark: SparkId,
    pub attempt: u32,
    pub since: Time,
}
