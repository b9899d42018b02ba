//! What an action is about: the selected entry, or the marked ones, as far as an action needs them.

use std::collections::BTreeMap;

use bitacora_core::{
    fleet::{JobStatus, Priority},
    ids::{JobId, ProjectId, SparkId},
    time::Span,
};

use super::{
    actions::Scope,
    state::{Screen, State},
};
use crate::control::{Cause, JobState, NodeSeen, NodeState, ProjectState};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Nothing,
    Node(NodeSubject),
    Job(JobSubject),
    Project(ProjectSubject),
    Spark(SparkSubject),
    Seen(SeenSubject),
    /// A place in a file.
    Place(String),
    Event(String),
    Record(String),
    Logged(u32),
    /// A node of some fleet, or a fleet.
    Afar(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSubject {
    pub id: String,
    pub name: String,
    /// By what a command line names it: its name, or its id where that could be taken for something else.
    pub handle: String,
    pub is_active: bool,
    /// The machine of the master itself.
    pub is_hybrid: bool,
    pub sparks: u32,
    /// The projects that those are about.
    pub projects: Vec<String>,
    /// How long it may finish what it has, of one that drains.
    pub drains_for: Option<Span>,
    /// That a person gave it.
    pub given_labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSubject {
    pub id: JobId,
    pub status: JobStatus,
    pub priority: Priority,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectSubject {
    pub id: ProjectId,
    pub name: String,
    pub root: String,
    /// What it is assigned to; empty for all nodes.
    pub nodes: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparkSubject {
    pub id: SparkId,
    pub is_over: bool,
    /// Does it run a command, which says something?
    pub is_command: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSubject {
    pub name: String,
    pub key: String,
    pub paired: bool,
}

impl Subject {
    /// As a person calls it.
    pub fn name(&self) -> String {
        match self {
            Subject::Nothing => String::new(),
            Subject::Node(node) => node.handle.clone(),
            Subject::Job(job) => job.id.to_string(),
            Subject::Project(project) => project.name.clone(),
            Subject::Spark(spark) => spark.id.to_string(),
            Subject::Seen(seen) => seen.name.clone(),
            Subject::Place(text) | Subject::Event(text) | Subject::Record(text) => text.clone(),
            Subject::Logged(number) => number.to_string(),
            Subject::Afar(name) => name.clone(),
        }
    }

    /// Why an action does not fit it.
    pub fn misfit(&self) -> String {
        match self {
            Subject::Nothing => "nothing is selected".into(),
            Subject::Node(node) => format!("{} is {}", node.name, if node.is_active { "active" } else { "closed already" }),
            Subject::Job(job) => format!("{} is {}, with priority {}", job.id, job.status.name(), job.priority.name()),
            Subject::Project(project) => project.name.clone(),
            Subject::Spark(spark) => format!("{} {}", spark.id, if spark.is_over { "is over" } else { "says nothing" }),
            Subject::Seen(seen) => format!("{} belongs to a fleet already", seen.name),
            Subject::Place(text) | Subject::Event(text) | Subject::Record(text) | Subject::Afar(text) => text.clone(),
            Subject::Logged(_) => "it was run already".into(),
        }
    }
}

impl State {
    /// The selected entry.
    pub fn subject(&self) -> Subject {
        self.shown.get(self.list().at).map_or(Subject::Nothing, |place| self.subject_at(*place))
    }

    /// The marked entries that are still there, or else the selected one.
    pub fn subjects(&self) -> Vec<Subject> {
        let marked = &self.list().marked;
        if marked.is_empty() {
            return vec![self.subject()];
        }
        (0..self.entries()).filter(|place| marked.contains(&self.key_of(*place))).map(|place| self.subject_at(place)).collect()
    }

    fn subject_at(&self, place: usize) -> Subject {
        match self.screen {
            Screen::Fleet => self.fleet.nodes.get(place).map(|node| Subject::Node(self.node_subject(node))),
            Screen::Jobs => self.fleet.jobs.get(place).map(job_subject),
            Screen::Projects => self.fleet.projects.get(place).map(project_subject),
            Screen::Nearby => self.nearby().get(place).map(seen_subject),
            Screen::Events => self.events.get(place).map(|event| Subject::Event(event.subject.clone())),
            Screen::Audit => self.asked.audit.get(place).map(|record| Subject::Record(record.subject.clone())),
            Screen::Log => self.log.entries().get(place).map(|entry| Subject::Logged(entry.number)),
            Screen::Fleets => self.asked.fleets.get(place).map(|afar| Subject::Afar(if afar.answered() { afar.name.clone() } else { afar.fleet.clone() })),
            Screen::Sparks => self.sparks().get(place).map(|spark| {
                let is_over = ["completed", "failed", "cancelled", "quarantined"].contains(&spark.status.as_str());
                Subject::Spark(SparkSubject { id: spark.id, is_over, is_command: spark.files == 0 })
            }),
            Screen::Symbols => self.asked.found().get(place).map(|found| Subject::Place(format!("{}:{}", found.path, found.line))),
        }
        .unwrap_or(Subject::Nothing)
    }

    /// What a person calls so, of what an action of this scope can be about.
    pub fn subject_named(&self, scope: Scope, wanted: &str) -> Option<Subject> {
        let fleet = &self.fleet;
        match scope {
            Scope::Fleet => {
                let mut found = fleet.nodes.iter().filter(|node| node.name == wanted || node.id == wanted);
                // Of two that are called so the command says it.
                found.next().filter(|_| found.next().is_none()).map(|node| Subject::Node(self.node_subject(node)))
            }
            Scope::Jobs => fleet.jobs.iter().find(|job| job.id.to_string() == wanted).map(job_subject),
            Scope::Projects => fleet.projects.iter().find(|project| project.name == wanted || project.id.to_string() == wanted).map(project_subject),
            Scope::Nearby => self.nearby().iter().find(|seen| seen.key == wanted).map(seen_subject),
            Scope::Anywhere | Scope::Sparks | Scope::Symbols | Scope::Events | Scope::Audit | Scope::Log | Scope::Fleets | Scope::Reading => None,
        }
    }

    fn node_subject(&self, node: &NodeState) -> NodeSubject {
        let plain = node.name.starts_with(char::is_alphanumeric) && node.name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
        let alone = plain && self.fleet.nodes.iter().filter(|other| other.name == node.name || other.id == node.name).count() == 1;
        NodeSubject {
            id: node.id.clone(),
            name: node.name.clone(),
            handle: if alone { node.name.clone() } else { node.id.clone() },
            is_active: node.availability == "active",
            is_hybrid: node.role == "hybrid",
            sparks: node.sparks,
            projects: node.projects.clone(),
            drains_for: match node.cause {
                Some(Cause::Draining { until }) => Some(until - self.fleet.at),
                _ => None,
            },
            given_labels: node.given_labels.clone(),
        }
    }
}

fn seen_subject(seen: &NodeSeen) -> Subject {
    Subject::Seen(SeenSubject { name: seen.name.clone(), key: seen.key.clone(), paired: seen.paired })
}

fn job_subject(job: &JobState) -> Subject {
    Subject::Job(JobSubject { id: job.id, status: job.status, priority: job.priority })
}

fn project_subject(project: &ProjectState) -> Subject {
    Subject::Project(ProjectSubject { id: project.id, name: project.name.clone(), root: project.root.clone(), nodes: project.nodes.clone() })
}
