//! The messages. Every one carries the epoch and the agent's incarnation, so that a stale one is recognised.

use alloc::{boxed::Box, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{
    configuration::ConfigurationReport,
    neighbours::Neighbours,
    node::{Load, NodeProfile},
    task::{AttemptError, SparkOutput, Task},
    warrant::Warrant,
};
use crate::{
    ids::{Attempt, Digest, Epoch, Incarnation, NodeId, ProjectId, SparkId},
    time::Span,
};

/// Between heartbeats, until the master says otherwise: it stretches them when the fleet is large.
pub const HEARTBEAT: Span = Span::from_millis(500);
/// No master stretches them further, and no agent may say that it was told to.
pub const HEARTBEAT_MAX: Span = Span::from_secs(64);

/// A message with what makes it recognisable as stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<Body> {
    /// The mastership that the sender knows of.
    pub epoch: Epoch,
    /// The agent's life that is spoken of: its own when it sends, the one it said Hello with when it receives.
    pub incarnation: Incarnation,
    pub body: Body,
}

/// From the master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAgent {
    ExecuteTask(Task),
    CancelTask {
        spark: SparkId,
        attempt: Attempt,
    },
    /// The result is in the journal; the agent may forget it.
    Acknowledge {
        spark: SparkId,
        attempt: Attempt,
    },
    /// The audit is so long by now; the agent keeps it, over restarts.
    AuditHead(AuditHead),
    /// Say Hello again: the master does not know this agent's state.
    SyncState,
    /// End all work at once, and say why to whoever reads it there, whoever asked for it: what can stop a fleet asks for no leave.
    /// Nothing more is sent until a person says so.
    EmergencyShutdown {
        reason: String,
    },
    /// Bring a project to another node. Nobody can yet: it is answered `Unsupported`.
    MigrateProject {
        project: ProjectId,
        to: NodeId,
    },
    /// Live by this from now on, on trial: `KeepConfiguration` ends it well.
    UpdateConfiguration {
        revision: u64,
        /// TOML.
        text: String,
        #[serde(default, skip_serializing_if = "Warrant::is_plain")]
        warrant: Warrant,
    },
    /// The node was heard living by it.
    KeepConfiguration {
        revision: u64,
    },
    /// Whom it may ask for contents, and whom it may give them, besides the master.
    Neighbours(Neighbours),
    /// The answer to `Leaving` with nothing held: the process may end.
    Dismiss,
    /// Heartbeats are to come so often from now on.
    SetPace {
        heartbeat: Span,
        /// Of a node that holds nothing, if that is more.
        #[serde(default)]
        idle: Span,
    },
}

/// From an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// First message of a connection, and the answer to `SyncState`.
    Hello {
        slots: u32,
        fingerprint: Digest,
        held: Vec<Held>,
        /// What it may be asked to run, by the names that its configuration gives.
        #[serde(default)]
        programs: Vec<String>,
        #[serde(default)]
        profile: Box<NodeProfile>,
    },
    /// Regularly, also when there is nothing to say.
    Heartbeat {
        held: Vec<Held>,
        #[serde(default)]
        load: Load,
        /// When the next one is due: after what the sender believes to be its pace.
        #[serde(default)]
        pace: Span,
    },
    /// In the place of heartbeats: it takes nothing more and is about to end. What is not listed it hands back.
    Leaving {
        held: Vec<Held>,
    },
    /// The answer to a command that it cannot carry out, by the command's name.
    Unsupported {
        command: String,
    },
    /// What came of `UpdateConfiguration`; of a change on trial with each heartbeat.
    Configuration(ConfigurationReport),
    /// There was no room for them any more, and they were removed.
    PacksDropped {
        packs: Vec<Digest>,
    },
    /// With each Hello: the end of the audit as a master told it last.
    AuditHead(AuditHead),
    Progress(Progress),
    /// A part of what a running command writes: for whoever watches, and gone when nobody hears it.
    Output(Output),
    Finished {
        spark: SparkId,
        attempt: Attempt,
        output: SparkOutput,
        /// From its start to its end on the node's clock; a queue is not in it.
        #[serde(default)]
        took: Span,
    },
    Failed {
        spark: SparkId,
        attempt: Attempt,
        error: AttemptError,
    },
}

impl FromAgent {
    /// Does it say no more than that the node is there? It may wait for others of its kind, some tenths of a second.
    pub fn is_unhurried(&self) -> bool {
        matches!(self, FromAgent::Heartbeat { held, .. } if held.is_empty())
    }
}

/// An attempt that an agent has: queued, running, or finished and not yet acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Held {
    pub spark: SparkId,
    pub attempt: Attempt,
}

/// The last record of the audit at some time: its number, from 1, and its link in the chain of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditHead {
    pub number: u64,
    pub hash: Digest,
}

/// How far an attempt is; never journalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub spark: SparkId,
    pub attempt: Attempt,
    pub files: u32,
    pub bytes: u64,
}

/// What a running command wrote at a place of its log; never journalled. The whole log follows with the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub spark: SparkId,
    pub attempt: Attempt,
    pub offset: u64,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}
