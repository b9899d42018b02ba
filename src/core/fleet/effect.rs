//! What a master wants done, in the order in which it must be done.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{AuditRecord, Fact, Refusal, Right};
use crate::{
    ids::{JobId, NodeId, ProjectId},
    time::Time,
    wire::{
        Envelope, ToAgent,
        message::{AuditHead, Output},
    },
};

/// Imperatives for the driver. Within one turn all `Record`s are committed before the first `Send` leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Record(Fact),
    /// Append to the audit, in the same commit as the facts of the turn.
    Audit(AuditRecord),
    /// Is that link in the audit's chain? Answer with `HeadUnknown` if not.
    LookUpHead {
        node: NodeId,
        head: AuditHead,
    },
    Send {
        to: NodeId,
        message: Envelope<ToAgent>,
    },
    /// Dial a node, at these addresses and where it is announced, and let it introduce itself.
    Call {
        node: NodeId,
        addresses: Vec<SocketAddr>,
    },
    /// Close the link of a node that was removed, or that is not heard of any more.
    Disconnect {
        node: NodeId,
    },
    /// List the job's tree and submit the same analysis again, or answer with `TreeNotListed`.
    ListTree {
        job: JobId,
    },
    /// Merge the job's outcomes with its base, store the result, answer with `ResultStored` or `ResultNotStored`.
    StoreResult {
        job: JobId,
        /// To be named in the answer: an answer to an earlier request is none to this one.
        round: u64,
        /// What takes longer is to be given up, and answered with `ResultNotStored`.
        until: Time,
    },
    /// Keep what a running command writes, for whoever watches.
    KeepOutput(Output),
    Publish(Notice),
}

impl Effect {
    pub(super) const RANKS: usize = 3;

    pub(super) const fn rank(&self) -> usize {
        match self {
            Effect::Record(_) | Effect::Audit(_) => 0,
            Effect::LookUpHead { .. } => 1,
            Effect::Send { .. }
            | Effect::Call { .. }
            | Effect::Disconnect { .. }
            | Effect::ListTree { .. }
            | Effect::StoreResult { .. }
            | Effect::KeepOutput(_) => 1,
            Effect::Publish(_) => 2,
        }
    }
}

/// What people and screens are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    NodePaired(NodeId),
    OperatorPaired {
        operator: NodeId,
        right: Right,
    },
    /// Its link, its health or what it may be given has changed.
    NodeChanged(NodeId),
    ProjectAdded(ProjectId),
    JobAccepted(JobId),
    /// An unfinished job asked for the same; it goes on.
    JobResumed {
        job: JobId,
        sparks_finished: u32,
    },
    /// It was asked to have records, and cannot be given any now.
    NotWarmed(NodeId),
    JobChanged(JobId),
    JobOver(JobId),
    /// A node was told of a record that the audit does not have: its end was cut off, or the node lies.
    AuditCut {
        node: NodeId,
        head: AuditHead,
    },
    Refused(Refusal),
}
