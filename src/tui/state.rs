//! What the dashboard knows and where the person is. Plain data: it asks nobody, and nothing in it is drawn yet.

use std::collections::{BTreeMap, VecDeque};

use bitacora_core::{
    fleet::NodeSelector,
    ids::{JobId, NodeId, ProjectId},
    time::{Span, Time},
};
use ratatui::layout::Size;

use super::{
    actions::{ActionId, Scope},
    asked::{Afar, Asked, Definition, Looking, Query, Record},
    editor::Editor,
    keymap::Keymap,
    layout::{self, Areas, Tier, Wanted},
    list::List,
    log::Log,
    subject::Subject,
};
use crate::{
    control::{
        JobState, NodeSeen, NodeState, ProjectState, Snapshot,
        history::History,
        watch::{Focus, Focused, JobDetail, Nearby, SparkRow},
    },
    timeline::Happening,
};

/// How long something that was said stays, and can be taken back.
pub const FLASH_SPAN: Span = Span::from_secs(10);
/// What changes by itself changes once a second.
pub const TICK: Span = Span::from_secs(1);

pub struct State {
    /// On this process's clock, as of what happened last.
    pub now: Time,
    pub size: Size,
    pub tier: Tier,
    pub options: Options,
    pub feed: Feed,
    pub fleet: Snapshot,
    /// The oldest first.
    pub events: VecDeque<Happening>,
    /// The load of each node, by its id.
    pub history: BTreeMap<String, History>,
    pub watched: Focused,
    pub asked: Asked,
    pub screen: Screen,
    /// What is selected has all of the room.
    pub opened: bool,
    pub lists: [List; Screen::ALL.len()],
    /// The entries of the present list that pass its filter, by their places.
    pub shown: Vec<usize>,
    pub mode: Mode,
    /// The first line shown of what is read.
    pub scroll: usize,
    /// The last line is shown, also when there is another last one: of a command that still writes.
    pub follows: bool,
    pub flash: Option<Flash>,
    pub log: Log,
    pub pace: Pace,
    /// Something changed since the last frame.
    pub dirty: bool,
}

/// What the person wants of this dashboard.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nothing that changes anything is done from here.
    pub read_only: bool,
    /// To these nothing is done from here; none of them if nothing is named.
    pub read_only_nodes: NodeSelector,
    /// Does anything move by itself?
    pub motion: bool,
    /// The beginnings of command lines, for suggestions.
    pub commands: Vec<String>,
    pub keymap: Keymap,
    /// The columns of each screen's table, by their places; none of them for all.
    pub columns: [Vec<usize>; Screen::ALL.len()],
    /// From which danger on an action is asked about first.
    pub asks: Asks,
    /// More entries at once are asked about in any case, and their number is typed.
    pub unasked_max: usize,
    /// Between two frames that nobody asked for.
    pub refresh: Span,
    /// What the fleet is called, where it is not that of this machine.
    pub place: Option<String>,
    /// The fleet elsewhere that it is about; of this machine's own, and of a demo, there is none.
    pub attached: Option<String>,
    /// The fleets that this device has joined, by name.
    pub fleets: Vec<String>,
}

/// What a person is asked about before it is done. What cannot be taken back is never done unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asks {
    Everything,
    #[default]
    Disruptive,
    Final,
}

/// Between two frames: a storm of news is drawn as a few.
pub const REFRESH_LEAST: Span = Span::from_millis(15);
/// More at once are asked about first, if nothing else is wanted.
pub const UNASKED_MAX: usize = 5;

impl Default for Options {
    fn default() -> Options {
        Options {
            read_only: false,
            read_only_nodes: NodeSelector::default(),
            motion: true,
            commands: Vec::new(),
            keymap: Keymap::default(),
            columns: Default::default(),
            asks: Asks::default(),
            unasked_max: UNASKED_MAX,
            refresh: REFRESH_LEAST,
            place: None,
            attached: None,
            fleets: Vec::new(),
        }
    }
}

/// What changes with time alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Until then some chart moves.
    pub moves_until: Time,
    /// When it was last looked at what time has changed.
    pub ticked: Time,
    /// The timeline plays, and goes on at this moment.
    pub plays_at: Option<Time>,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    #[default]
    Fleet,
    Jobs,
    Projects,
    Nearby,
    Events,
    Audit,
    Log,
    /// The nodes of all fleets that this device has joined.
    Fleets,
    /// Of one job.
    Sparks,
    /// That were found in a project.
    Symbols,
}

impl Screen {
    pub const ALL: [Screen; 10] = [
        Screen::Fleet,
        Screen::Jobs,
        Screen::Projects,
        Screen::Nearby,
        Screen::Events,
        Screen::Audit,
        Screen::Log,
        Screen::Fleets,
        Screen::Sparks,
        Screen::Symbols,
    ];
    /// Those that stand side by side; the others are inside one of them.
    pub const TABS: [Screen; 8] = [Screen::Fleet, Screen::Jobs, Screen::Projects, Screen::Nearby, Screen::Events, Screen::Audit, Screen::Log, Screen::Fleets];

    pub const fn name(self) -> &'static str {
        match self {
            Screen::Fleet => "fleet",
            Screen::Jobs => "jobs",
            Screen::Projects => "projects",
            Screen::Nearby => "nearby",
            Screen::Events => "events",
            Screen::Audit => "audit",
            Screen::Log => "log",
            Screen::Fleets => "fleets",
            Screen::Sparks => "sparks",
            Screen::Symbols => "symbols",
        }
    }

    pub const fn scope(self) -> Scope {
        match self {
            Screen::Fleet => Scope::Fleet,
            Screen::Jobs => Scope::Jobs,
            Screen::Projects => Scope::Projects,
            Screen::Nearby => Scope::Nearby,
            Screen::Events => Scope::Events,
            Screen::Audit => Scope::Audit,
            Screen::Log => Scope::Log,
            Screen::Fleets => Scope::Fleets,
            Screen::Sparks => Scope::Sparks,
            Screen::Symbols => Scope::Symbols,
        }
    }

    /// The tab that it is, or is inside of.
    pub const fn tab(self) -> Screen {
        match self {
            Screen::Sparks => Screen::Jobs,
            Screen::Symbols => Screen::Projects,
            tab => tab,
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
    Palette(Palette),
    Confirm(Box<Question>),
    /// An action wants to be told something.
    Prompt(Box<Prompt>),
}

/// Something that is not done without a second word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub action: ActionId,
    pub deeds: Vec<Deed>,
    pub title: String,
    pub plan: String,
    /// What is to be typed; otherwise `y` is enough.
    pub expected: Option<String>,
    pub typed: Editor,
}

/// One thing to be done, and what it is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    pub name: String,
    pub words: Vec<String>,
    /// The command line that takes it back.
    pub undo: Option<Vec<String>>,
}

/// What an action wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub action: ActionId,
    /// What it is about, as of when it was asked.
    pub subjects: Vec<Subject>,
    pub title: &'static str,
    pub typed: Editor,
}

/// All actions that can be done here, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    pub typed: Editor,
    pub at: usize,
}

/// Something that was said, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    pub text: String,
    pub is_trouble: bool,
    pub until: Time,
    /// The command lines that take it back.
    pub undo: Vec<Vec<String>>,
}

impl State {
    pub fn new(size: Size, now: Time) -> State {
        State {
            now,
            size,
            tier: Tier::of(size, None),
            options: Options::default(),
            feed: Feed::default(),
            fleet: Snapshot::default(),
            events: VecDeque::new(),
            history: BTreeMap::new(),
            watched: Focused::default(),
            asked: Asked::default(),
            screen: Screen::default(),
            opened: false,
            lists: Default::default(),
            shown: Vec::new(),
            mode: Mode::default(),
            scroll: 0,
            follows: true,
            flash: None,
            log: Log::default(),
            pace: Pace::default(),
            dirty: true,
        }
    }

    /// Shows what was shown last, until there is something newer.
    pub fn recall(&mut self, at: Time, fleet: Snapshot) {
        self.fleet = fleet;
        self.feed = Feed::Lost { since: at.min(self.now), why: "the master has not answered yet".to_owned() };
        self.shown = self.passing();
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

    fn chosen(&self, screen: Screen) -> Option<&str> {
        self.lists[screen as usize].selected.as_deref()
    }

    pub fn selected_node(&self) -> Option<&NodeState> {
        let wanted = self.chosen(Screen::Fleet)?;
        self.fleet
            .nodes
            .get(self.lists[Screen::Fleet as usize].place)
            .filter(|node| node.id == wanted)
            .or_else(|| self.fleet.nodes.iter().find(|node| node.id == wanted))
    }

    pub fn selected_job(&self) -> Option<&JobState> {
        let wanted: JobId = self.chosen(Screen::Jobs)?.parse().ok()?;
        self.fleet.jobs.iter().find(|job| job.id == wanted)
    }

    pub fn selected_project(&self) -> Option<&ProjectState> {
        let wanted: ProjectId = self.chosen(Screen::Projects)?.parse().ok()?;
        self.fleet.projects.iter().find(|project| project.id == wanted)
    }

    /// The job that is looked at in full, if it is the selected one.
    pub fn job_detail(&self) -> Option<&JobDetail> {
        let job = self.selected_job()?.id;
        self.watched.job.as_deref().filter(|detail| detail.id == job)
    }

    pub fn sparks(&self) -> &[SparkRow] {
        self.job_detail().map_or(&[], |detail| &detail.sparks)
    }

    pub fn nearby(&self) -> &[NodeSeen] {
        match &self.watched.nearby {
            Some(Nearby::Seen(seen)) => seen,
            _ => &[],
        }
    }

    pub fn selected_spark(&self) -> Option<&SparkRow> {
        let wanted = self.chosen(Screen::Sparks)?.parse().ok()?;
        self.sparks().iter().find(|spark| spark.id == wanted)
    }

    pub fn selected_seen(&self) -> Option<&NodeSeen> {
        let wanted = self.chosen(Screen::Nearby)?;
        self.nearby().iter().find(|seen| seen.key == wanted)
    }

    pub fn selected_event(&self) -> Option<&Happening> {
        let wanted: u64 = self.chosen(Screen::Events)?.parse().ok()?;
        let place = self.events.binary_search_by_key(&wanted, |event| event.number).ok()?;
        self.events.get(place)
    }

    pub fn selected_record(&self) -> Option<&Record> {
        let wanted: u64 = self.chosen(Screen::Audit)?.parse().ok()?;
        self.asked.audit.iter().find(|record| record.number == wanted)
    }

    pub fn selected_afar(&self) -> Option<&Afar> {
        let wanted = self.chosen(Screen::Fleets)?;
        self.asked.fleets.iter().find(|afar| afar.key() == wanted)
    }

    /// Is this dashboard about the fleet of the node?
    pub fn is_attached_to(&self, afar: &Afar) -> bool {
        self.options.attached.as_deref() == afar.is_elsewhere().then_some(afar.fleet.as_str())
    }

    pub fn selected_definition(&self) -> Option<&Definition> {
        let place: usize = self.chosen(Screen::Symbols)?.parse().ok()?;
        self.asked.found().get(place)
    }

    /// What is to be asked about one thing alone: only what can be seen.
    pub fn focus(&self) -> Focus {
        let is_seen = self.opened || !self.areas().detail.is_empty();
        match self.screen {
            Screen::Fleet if is_seen => Focus { node: self.selected_node().and_then(number_of), ..Focus::default() },
            Screen::Jobs if is_seen => Focus { job: self.selected_job().map(|job| job.id), ..Focus::default() },
            Screen::Sparks => Focus { job: self.selected_job().map(|job| job.id), ..Focus::default() },
            Screen::Nearby => Focus { nearby: true, ..Focus::default() },
            _ => Focus::default(),
        }
    }

    /// What is to be read by a command now.
    pub fn next_query(&mut self) -> Option<Query> {
        let is_seen = self.opened || !self.areas().detail.is_empty();
        let project = if self.screen == Screen::Projects && is_seen { self.selected_project() } else { None };
        let result = project.and_then(|project| Some((project.id, project.results.last()?.job)));
        let looking = Looking { result, audit: self.screen == Screen::Audit, fleets: self.screen == Screen::Fleets };
        self.asked.next(looking, self.now)
    }

    /// The screens that stand side by side. Where no other fleet was joined theirs is none, unless somebody looks at it.
    pub fn tabs(&self) -> impl Iterator<Item = Screen> {
        Screen::TABS.into_iter().filter(|tab| *tab != Screen::Fleets || self.screen == Screen::Fleets || !self.options.fleets.is_empty())
    }

    pub fn areas(&self) -> Areas {
        let detail = !self.shown.is_empty();
        let opened = self.opened && detail || self.scope() == Scope::Reading;
        // Where there is no room for a bar, what is shown may still not be true now, and what is opened has to be left again.
        let foot = self.flash.is_some() || matches!(self.mode, Mode::Line(_) | Mode::Filter(_)) || self.feed != Feed::Live || opened;
        layout::areas(self.size, self.tier, Wanted { opened, detail, foot })
    }

    /// Does something that is shown change with time alone?
    pub fn ticks(&self) -> bool {
        let moves = self.options.motion && self.screen == Screen::Fleet && self.now < self.pace.moves_until;
        matches!(self.feed, Feed::Lost { .. }) || moves
    }

    /// When something that is shown is over, or moves on.
    pub fn next_deadline(&self) -> Option<Time> {
        let tick = self.ticks().then_some(self.pace.ticked + TICK);
        let fleets = if self.screen == Screen::Fleets { self.asked.fleets_due() } else { None };
        [self.flash.as_ref().map(|flash| flash.until), tick, self.pace.plays_at, fleets].into_iter().flatten().min()
    }
}

fn number_of(node: &NodeState) -> Option<NodeId> {
    node.id.parse().ok()
}
