//! What the dashboard knows and where the person is. Plain data: it asks nobody, and nothing in it is drawn yet.

use std::collections::BTreeMap;

use bitacora_core::{
    fleet::{JobStatus, Priority},
    ids::{JobId, NodeId, ProjectId},
    time::{Span, Time},
};
use ratatui::layout::Size;

use super::{
    actions::{ActionId, Scope},
    editor::Editor,
    filter::Filter,
    history::History,
    layout::{self, Areas, Tier, Wanted},
    log::Log,
};
use crate::control::{JobState, NodeDetail, NodeState, ProjectState, Snapshot};

/// How long something that was said stays, and can be taken back.
pub const FLASH_SPAN: Span = Span::from_secs(10);

pub struct State {
    /// On this process's clock, as of what happened last.
    pub now: Time,
    pub size: Size,
    pub tier: Tier,
    pub feed: Feed,
    pub fleet: Snapshot,
    /// The load of each node, by its id.
    pub history: BTreeMap<String, History>,
    pub watched: Watched,
    pub screen: Screen,
    /// What is selected has all of the room.
    pub opened: bool,
    lists: [List; Screen::ALL.len()],
    pub mode: Mode,
    /// The first line shown of what is read.
    pub scroll: usize,
    pub flash: Option<Flash>,
    pub log: Log,
    /// Something changed since the last frame.
    pub dirty: bool,
}

/// What is heard of the master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Feed {
    /// Nothing yet.
    #[default]
    Waiting,
    NoMaster,
    Live,
    /// What is shown is as old as this.
    Lost {
        since: Time,
        why: String,
    },
}

/// What is asked for about one thing alone: the selected one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    pub node: Option<NodeId>,
    pub job: Option<JobId>,
}

/// The answers to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    pub node: Option<Box<NodeDetail>>,
    pub reasons: Option<(JobId, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    #[default]
    Fleet,
    Jobs,
    Projects,
    Log,
}

impl Screen {
    pub const ALL: [Screen; 4] = [Screen::Fleet, Screen::Jobs, Screen::Projects, Screen::Log];

    pub const fn name(self) -> &'static str {
        match self {
            Screen::Fleet => "fleet",
            Screen::Jobs => "jobs",
            Screen::Projects => "projects",
            Screen::Log => "log",
        }
    }

    pub const fn scope(self) -> Scope {
        match self {
            Screen::Fleet => Scope::Fleet,
            Screen::Jobs => Scope::Jobs,
            Screen::Projects => Scope::Projects,
            Screen::Log => Scope::Log,
        }
    }
}

/// What keys are for now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Browse,
    Help,
    /// What a command said, by its number in the log.
    Reading(u32),
    Line(Editor),
    Filter(Editor),
    Confirm(Box<Question>),
}

/// Something that is not done without a second word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub action: ActionId,
    pub words: Vec<String>,
    pub title: String,
    pub plan: String,
    /// What is to be typed; otherwise `y` is enough.
    pub expected: Option<String>,
    pub typed: Editor,
}

/// Something that was said, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    pub text: String,
    pub is_trouble: bool,
    pub until: Time,
    /// The command line that takes it back.
    pub undo: Option<Vec<String>>,
}

/// A person's place in a list. The entry is remembered and not its number: what is selected stays when others come and go.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub selected: Option<String>,
    /// The place of the selected entry among those shown.
    pub at: usize,
    /// The first entry on the screen.
    pub top: usize,
    pub filter: Filter,
}

/// What is selected, as far as an action needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Nothing,
    Node(NodeSubject),
    Job(JobSubject),
    Project(ProjectSubject),
    Logged(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSubject {
    pub id: String,
    pub name: String,
    /// By what a command line names it: its name, or its id where that could be taken for something else.
    pub handle: String,
    pub is_active: bool,
    pub sparks: u32,
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
}

impl State {
    pub fn new(size: Size, now: Time) -> State {
        State {
            now,
            size,
            tier: Tier::of(size, None),
            feed: Feed::default(),
            fleet: Snapshot::default(),
            history: BTreeMap::new(),
            watched: Watched::default(),
            screen: Screen::default(),
            opened: false,
            lists: Default::default(),
            mode: Mode::default(),
            scroll: 0,
            flash: None,
            log: Log::default(),
            dirty: true,
        }
    }

    pub fn list(&self) -> &List {
        &self.lists[self.screen as usize]
    }

    pub fn list_mut(&mut self) -> &mut List {
        &mut self.lists[self.screen as usize]
    }

    /// Where the person is, for keys.
    pub fn scope(&self) -> Scope {
        if matches!(self.mode, Mode::Help | Mode::Reading(_)) { Scope::Reading } else { self.screen.scope() }
    }

    /// The places in the snapshot's list, or the log, of what passes the filter.
    pub fn shown(&self) -> Vec<usize> {
        let filter = &self.list().filter;
        let passing = |count: usize, text: &dyn Fn(usize) -> String| (0..count).filter(|place| filter.passes(|| text(*place))).collect();
        match self.screen {
            Screen::Fleet => passing(self.fleet.nodes.len(), &|place| node_text(&self.fleet.nodes[place])),
            Screen::Jobs => passing(self.fleet.jobs.len(), &|place| job_text(&self.fleet.jobs[place])),
            Screen::Projects => passing(self.fleet.projects.len(), &|place| project_text(&self.fleet.projects[place])),
            Screen::Log => passing(self.log.entries().len(), &|place| self.log.entries()[place].line.clone()),
        }
    }

    /// By what an entry of the present list is remembered.
    pub fn key_of(&self, place: usize) -> String {
        match self.screen {
            Screen::Fleet => self.fleet.nodes[place].id.clone(),
            Screen::Jobs => self.fleet.jobs[place].id.to_string(),
            Screen::Projects => self.fleet.projects[place].id.to_string(),
            Screen::Log => self.log.entries()[place].number.to_string(),
        }
    }

    pub fn selected_node(&self) -> Option<&NodeState> {
        let wanted = self.lists[Screen::Fleet as usize].selected.as_ref()?;
        self.fleet.nodes.iter().find(|node| node.id == *wanted)
    }

    pub fn selected_job(&self) -> Option<&JobState> {
        let wanted: JobId = self.lists[Screen::Jobs as usize].selected.as_ref()?.parse().ok()?;
        self.fleet.jobs.iter().find(|job| job.id == wanted)
    }

    pub fn selected_project(&self) -> Option<&ProjectState> {
        let wanted: ProjectId = self.lists[Screen::Projects as usize].selected.as_ref()?.parse().ok()?;
        self.fleet.projects.iter().find(|project| project.id == wanted)
    }

    pub fn subject(&self) -> Subject {
        let found = match self.screen {
            Screen::Fleet => self.selected_node().map(|node| Subject::Node(self.node_subject(node))),
            Screen::Jobs => self.selected_job().map(|job| Subject::Job(JobSubject { id: job.id, status: job.status, priority: job.priority })),
            Screen::Projects => self
                .selected_project()
                .map(|project| Subject::Project(ProjectSubject { id: project.id, name: project.name.clone(), root: project.root.clone() })),
            Screen::Log => self.list().selected.as_ref().and_then(|number| number.parse().ok()).map(Subject::Logged),
        };
        found.unwrap_or(Subject::Nothing)
    }

    fn node_subject(&self, node: &NodeState) -> NodeSubject {
        let plain = node.name.starts_with(char::is_alphanumeric) && node.name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
        let alone = self.fleet.nodes.iter().filter(|other| other.name == node.name || other.id == node.name).count() == 1;
        NodeSubject {
            id: node.id.clone(),
            name: node.name.clone(),
            handle: if plain && alone { node.name.clone() } else { node.id.clone() },
            is_active: node.availability == "active",
            sparks: node.sparks,
        }
    }

    /// What is to be asked about one thing alone.
    pub fn focus(&self) -> Focus {
        match self.screen {
            Screen::Fleet => Focus { node: self.selected_node().and_then(|node| node.id.parse().ok()), job: None },
            Screen::Jobs => Focus { node: None, job: self.selected_job().map(|job| job.id) },
            Screen::Projects | Screen::Log => Focus::default(),
        }
    }

    pub fn areas(&self) -> Areas {
        let foot = self.flash.is_some() || matches!(self.mode, Mode::Line(_) | Mode::Filter(_));
        let detail = self.subject() != Subject::Nothing;
        layout::areas(self.size, self.tier, Wanted { opened: self.opened && detail || self.scope() == Scope::Reading, detail, foot })
    }

    /// When something that is shown is over.
    pub fn next_deadline(&self) -> Option<Time> {
        self.flash.as_ref().map(|flash| flash.until)
    }
}

fn node_text(node: &NodeState) -> String {
    let labels: String = node.labels.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    format!("{} {} {} {}{labels}", node.name, node.id, node.health, node.availability)
}

fn job_text(job: &JobState) -> String {
    format!("{} {} {} {} {}", job.id, job.project.as_deref().unwrap_or_default(), job.job_type.name(), job.status.name(), job.priority.name())
}

fn project_text(project: &ProjectState) -> String {
    format!("{} {} {}", project.name, project.id, project.root)
}
