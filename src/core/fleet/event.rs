//! Everything that can happen to a master, closed.

use alloc::{string::String, vec::Vec};
use core::net::SocketAddr;

use super::{
    About, Deed, NodeSelector, OperatorCommand, Right,
    audit::Intruder,
    ledger::{ListedFile, OwnRole, ResultSummary},
    spec::{Awaited, JobSpec, Priority},
};
use crate::{
    ids::{Digest, JobId, NodeId, ProjectId, SparkId, TokenId},
    time::Span,
    wire::{Envelope, FromAgent, command::LineError, message::AuditHead, node::Labels, warrant::Objection},
};

/// Something that has happened. Names are past.
#[derive(Clone, Debug)]
pub enum Event {
    /// A deadline came; nothing else happened.
    Woken,
    /// Somebody proved that it may join; its name is what it calls itself, and where it did is where it answers.
    NodeJoined {
        name: String,
        address: Option<SocketAddr>,
    },
    /// A person says what the master's own machine does; the name is what it is called if it becomes a node by that.
    RoleChosen {
        role: OwnRole,
        name: String,
    },
    /// A person lets one node join, for so long; or a person's device, with this right.
    TokenMade {
        token: TokenId,
        name: String,
        span: Span,
        operator: Option<Right>,
    },
    /// Somebody proved that it knows the token.
    TokenProved {
        token: TokenId,
    },
    NodeCommanded {
        node: NodeId,
        command: NodeCommand,
    },
    /// A person changes a node's configuration; the text was found sound, and says something of these keys.
    ConfigurationPushed {
        node: NodeId,
        keys: Vec<String>,
        text: String,
    },
    /// A node's link comes from there, or was made by calling it there.
    LinkSeen {
        node: NodeId,
        address: SocketAddr,
        called: bool,
    },
    OperatorCommanded {
        operator: NodeId,
        command: OperatorCommand,
    },
    /// A person's device asks for something; what becomes of the request itself is told by the event that it leads to.
    DeedAsked {
        operator: NodeId,
        /// What its certificate permits.
        certified: Right,
        deed: Deed,
        about: About,
    },
    /// The link to a node is gone. What it runs it may still run: it is given the time to come back.
    LinkLost {
        node: NodeId,
    },
    ProjectAdded {
        name: String,
        root: Vec<u8>,
    },
    ProjectRenamed {
        project: ProjectId,
        name: String,
    },
    /// A person says on which nodes a project's sparks run; an empty selector means all.
    ProjectAssigned {
        project: ProjectId,
        nodes: NodeSelector,
    },
    ProjectRemoved {
        project: ProjectId,
    },
    JobSubmitted(Submission),
    /// Work that is about no tree: so many sparks that do the same.
    WorkSubmitted {
        spec: JobSpec,
        sparks: u32,
    },
    /// A person wants nodes to have the records of a result, for analyses to come.
    WarmingAsked(Warming),
    /// A node was asked for packs that it is believed to have, and has them not.
    PacksMissed {
        node: NodeId,
        packs: Vec<Digest>,
    },
    /// A person wants one spark to end, and the rest of its job to go on.
    SparkCancelled {
        spark: SparkId,
    },
    JobCommanded {
        job: JobId,
        command: JobCommand,
    },
    /// The answer to [`super::Effect::ListTree`] when that is not possible.
    TreeNotListed {
        job: JobId,
        error: String,
    },
    /// The answer to [`super::Effect::StoreResult`].
    ResultStored {
        job: JobId,
        round: u64,
        result: ResultSummary,
    },
    ResultNotStored {
        job: JobId,
        round: u64,
        error: String,
    },
    /// The master is about to end in good order.
    Stopping,
    /// The fleet has an authority now, made by this master.
    AuthorityMade {
        fingerprint: Digest,
    },
    /// The fleet's authority leaves this device, sealed with a passphrase, in an archive.
    AuthorityExported,
    /// A node that proved who it is wants its certificate renewed.
    RenewalAsked {
        node: NodeId,
    },
    /// Some who dialled were not let in, and why.
    ConnectionsRefused {
        counts: Vec<(Intruder, u64)>,
    },
    /// The audit's chain is so long by now, committed.
    AuditAdvanced {
        head: AuditHead,
    },
    /// The answer to [`super::Effect::LookUpHead`] when the chain has no such record.
    HeadUnknown {
        node: NodeId,
        head: AuditHead,
    },
    /// The node's process is gone for certain.
    NodeDisconnected {
        node: NodeId,
    },
    Received {
        node: NodeId,
        message: Envelope<FromAgent>,
    },
}

/// A request for analysis: what, and the files whose result is not known.
#[derive(Clone, Debug)]
pub struct Submission {
    pub spec: JobSpec,
    pub files: Vec<ListedFile>,
}

/// Records that nodes are to have.
#[derive(Clone, Debug)]
pub struct Warming {
    pub packs: Vec<Digest>,
    /// The engine that made them: to nodes with another one they are worth nothing.
    pub fingerprint: Digest,
    /// All of them if empty.
    pub nodes: NodeSelector,
    pub timeout: Option<Span>,
}

/// What a person can do to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobCommand {
    Cancel,
    Pause,
    Resume,
    /// Gives the failed sparks of a job that failed, or was cancelled, another chance.
    Retry,
    SetPriority(Priority),
}

/// What a person can do to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeCommand {
    Cordon,
    Uncordon,
    /// It belongs to the fleet no longer: its link is closed and its certificate is worth nothing.
    Remove,
    /// It finishes what it has; what it still has at the deadline is moved.
    Drain {
        within: Option<Span>,
    },
    /// Ends all its work at once, and gives it nothing until it is uncordoned.
    Stop {
        reason: String,
    },
    Relabel {
        set: Labels,
        unset: Vec<String>,
    },
    /// If it has no link it is called now; and from now on it may answer at these addresses too.
    Call {
        addresses: Vec<SocketAddr>,
    },
}

impl NodeCommand {
    /// In the words of the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            NodeCommand::Cordon => "cordon",
            NodeCommand::Uncordon => "uncordon",
            NodeCommand::Remove => "rm",
            NodeCommand::Drain { .. } => "drain",
            NodeCommand::Stop { .. } => "shutdown",
            NodeCommand::Relabel { .. } => "label",
            NodeCommand::Call { .. } => "call",
        }
    }
}

/// Why a request was not carried out. State is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownProject(ProjectId),
    UnknownJob(JobId),
    UnknownNode(NodeId),
    /// It is the master's own machine, which belongs to the fleet for as long as that does.
    OwnMachine(NodeId),
    /// The device that asks may do less than that.
    RightMissing {
        deed: Deed,
        /// That it has.
        right: Right,
    },
    /// Its right is for these projects, by name, and that is about something else.
    OtherProject {
        projects: Vec<String>,
    },
    /// Its certificate permits less; it would have to join again.
    NotPermitted {
        operator: NodeId,
        permitted: Right,
    },
    /// It cannot be reached now.
    NodeAway(NodeId),
    /// A node does not work for whoever asks.
    NotAccepted {
        node: NodeId,
        objection: Objection,
    },
    /// The node's owner does not let it be changed.
    NotChangeable {
        node: NodeId,
        key: String,
    },
    /// An earlier change is not decided yet.
    OnTrial(NodeId),
    ConfigurationTooLong {
        bytes_max: usize,
    },
    /// It would have more than are kept.
    TooManyLabels(NodeId),
    UnknownSpark(SparkId),
    /// No node of the fleet is one that was asked for.
    NoSuchNode,
    TooManyPacks {
        packs: usize,
        packs_max: usize,
    },
    /// It asks for something that cannot be run.
    NoSuchWork(LineError),
    TooManySparks {
        sparks: u32,
        sparks_max: u32,
    },
    TooMuchAwaited,
    /// It waits for something that is not known, or not any more.
    UnknownAwaited(Awaited),
    /// The spark is over.
    SparkOver(SparkId),
    /// There is no such token, or it was used, or its time is over.
    UnknownToken(TokenId),
    TooManyTokens {
        max: usize,
    },
    /// A token is open for some time, and at most for so long.
    TokenSpan {
        max: Span,
    },
    /// A later job for the same has taken its place.
    Superseded {
        job: JobId,
        by: JobId,
    },
    /// The name belongs to another project.
    NameTaken(String),
    /// The name has the form of a project's id.
    NameIsId(String),
    /// A job of the project is at work.
    UnderAnalysis {
        job: JobId,
        status: super::JobStatus,
    },
    /// The job is over, or not in a state where this makes sense.
    NotNow {
        job: JobId,
        status: super::JobStatus,
    },
}
