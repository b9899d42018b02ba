//! The one table of what a person can do here. Keys, hints, help and the `:` line read it; an action that is not in it does not exist.
//!
//! What concerns the fleet is a command line, and that command line is what is run: a key cannot do anything that its command does not.

use bitacora_core::fleet::{JobStatus, Priority};

use super::{keymap::Key, state::Subject};

/// One of the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionId {
    Open,
    Back,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    NextScreen,
    EarlierScreen,
    Fleet,
    Jobs,
    Projects,
    Log,
    Filter,
    Line,
    Help,
    Undo,
    Quit,
    Cordon,
    Uncordon,
    Drain,
    Shutdown,
    Remove,
    Pause,
    Resume,
    Retry,
    Cancel,
    Raise,
    Lower,
    Explain,
    Analyse,
    Stop,
}

/// A row of the table.
pub struct Row {
    pub id: ActionId,
    /// Its word on the `:` line.
    pub name: &'static str,
    pub keys: &'static [Key],
    pub scope: Scope,
    /// A word or two, for the line of hints.
    pub hint: &'static str,
    /// A sentence, for help.
    pub title: &'static str,
    pub does: Does,
}

/// Where an action applies, and where a person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Anywhere,
    Fleet,
    Jobs,
    Projects,
    Log,
    /// Something is read in full: help, a command's output.
    Reading,
}

impl Scope {
    pub const PLACES: [Scope; 5] = [Scope::Fleet, Scope::Jobs, Scope::Projects, Scope::Log, Scope::Reading];

    /// Does an action of this scope apply where a person is?
    pub fn reaches(self, place: Scope) -> bool {
        self == Scope::Anywhere || self == place
    }
}

/// What an action does.
pub enum Does {
    /// Something inside the dashboard.
    Here,
    Command(Command),
}

/// A command line, with places for what is selected.
pub struct Command {
    /// `{node}`, `{job}`, `{project}`, `{root}`, `{higher}` and `{lower}` stand for one word each.
    pub line: &'static str,
    pub danger: Danger,
    /// Said when it is done.
    pub done: &'static str,
    /// Is there anything to be done to what is selected?
    pub fits: fn(&Subject) -> bool,
}

/// How an action is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Done at once; `undo` is the command line that takes it back.
    Reversible { undo: Option<&'static str> },
    /// Asked first, and `y` is the answer; `plan` says what it means.
    Disruptive { plan: &'static str },
    /// The name is typed.
    Final { plan: &'static str },
}

use ActionId as Id;
use Danger::{Disruptive, Final, Reversible};

const fn here(id: Id, name: &'static str, keys: &'static [Key], hint: &'static str, title: &'static str) -> Row {
    Row { id, name, keys, scope: Scope::Anywhere, hint, title, does: Does::Here }
}

const fn command(id: Id, (name, scope): (&'static str, Scope), keys: &'static [Key], (hint, title): (&'static str, &'static str), command: Command) -> Row {
    Row { id, name, keys, scope, hint, title, does: Does::Command(command) }
}

/// The table. What stands first is hinted at first.
pub const ACTIONS: &[Row] = &[
    command(
        Id::Cordon,
        ("cordon", Scope::Fleet),
        &[Key::Char('c')],
        ("cordon", "gives the node no more work; it finishes what it has"),
        Command { line: "node cordon {node}", danger: Reversible { undo: Some("node uncordon {node}") }, done: "cordoned", fits: is_active },
    ),
    command(
        Id::Uncordon,
        ("uncordon", Scope::Fleet),
        &[Key::Char('o')],
        ("uncordon", "gives the node work again"),
        Command { line: "node uncordon {node}", danger: Reversible { undo: Some("node cordon {node}") }, done: "uncordoned", fits: is_closed },
    ),
    command(
        Id::Drain,
        ("drain", Scope::Fleet),
        &[Key::Char('d')],
        ("drain", "empties the node: it finishes what it has, or that is moved after ten minutes"),
        Command {
            line: "node drain {node} --detach",
            danger: Disruptive { plan: "It is given nothing more. What it still has after ten minutes is moved to other nodes." },
            done: "draining",
            fits: is_active,
        },
    ),
    command(
        Id::Shutdown,
        ("shutdown", Scope::Fleet),
        &[Key::Char('S')],
        ("stop", "stops all work on the node at once, for an emergency"),
        Command {
            line: "node shutdown {node} --yes",
            danger: Final { plan: "What it runs is ended at once and given to others. It gets no work until it is uncordoned." },
            done: "stopped",
            fits: is_node,
        },
    ),
    command(
        Id::Remove,
        ("rm", Scope::Fleet),
        &[Key::Char('R')],
        ("remove", "removes the node from the fleet; its link is closed at once"),
        Command {
            line: "node rm {node} --yes",
            danger: Final { plan: "Its link is closed at once. It must be joined again to come back." },
            done: "removed",
            fits: is_node,
        },
    ),
    command(
        Id::Pause,
        ("pause", Scope::Jobs),
        &[Key::Char('p')],
        ("pause", "starts no more sparks of the job"),
        Command { line: "job pause {job}", danger: Reversible { undo: Some("job resume {job}") }, done: "paused", fits: is_going },
    ),
    command(
        Id::Resume,
        ("resume", Scope::Jobs),
        &[Key::Char('r')],
        ("resume", "goes on with a paused job"),
        Command { line: "job resume {job}", danger: Reversible { undo: Some("job pause {job}") }, done: "resumed", fits: is_paused },
    ),
    command(
        Id::Cancel,
        ("cancel", Scope::Jobs),
        &[Key::Char('x')],
        ("cancel", "ends the job; what it finished stays in the cache"),
        Command {
            line: "job cancel {job}",
            danger: Disruptive { plan: "What it runs is called back. What it finished stays in the cache." },
            done: "cancelled",
            fits: is_unfinished,
        },
    ),
    command(
        Id::Retry,
        ("retry", Scope::Jobs),
        &[Key::Char('t')],
        ("retry", "gives the failed sparks of a failed or cancelled job another chance"),
        Command { line: "job retry {job}", danger: Reversible { undo: None }, done: "tried again", fits: has_failed },
    ),
    command(
        Id::Raise,
        ("raise", Scope::Jobs),
        &[Key::Char('+')],
        ("raise", "makes the job more urgent by one step"),
        Command { line: "job priority {job} {higher}", danger: Reversible { undo: Some("job priority {job} {priority}") }, done: "raised", fits: can_rise },
    ),
    command(
        Id::Lower,
        ("lower", Scope::Jobs),
        &[Key::Char('-')],
        ("lower", "makes the job less urgent by one step"),
        Command { line: "job priority {job} {lower}", danger: Reversible { undo: Some("job priority {job} {priority}") }, done: "lowered", fits: can_fall },
    ),
    command(
        Id::Explain,
        ("explain", Scope::Jobs),
        &[Key::Char('w')],
        ("why", "says why the job does not run, or is not finished"),
        Command { line: "job explain {job}", danger: Reversible { undo: None }, done: "", fits: is_job },
    ),
    command(
        Id::Analyse,
        ("analyze", Scope::Projects),
        &[Key::Char('a')],
        ("analyse", "analyses the project again, on the fleet"),
        Command { line: "analyze -- {root}", danger: Reversible { undo: None }, done: "", fits: is_project },
    ),
    Row {
        id: Id::Stop,
        name: "stop",
        keys: &[Key::Char('x')],
        scope: Scope::Log,
        hint: "stop",
        title: "ends the selected command, if it still runs",
        does: Does::Here,
    },
    here(Id::Open, "open", &[Key::Enter, Key::Right, Key::Char('l')], "open", "shows what is selected in full"),
    here(Id::Filter, "filter", &[Key::Char('/')], "filter", "keeps the lines that match an expression; ! in front keeps the others"),
    here(Id::Line, "command", &[Key::Char(':')], "command", "runs a command line, in the same words as in a shell"),
    here(Id::Help, "help", &[Key::Char('?')], "help", "says what every key does"),
    here(Id::Back, "back", &[Key::Esc, Key::Left, Key::Char('h'), Key::Backspace], "back", "goes back; ends a filter"),
    here(Id::Undo, "undo", &[Key::Char('u')], "undo", "takes back what was done last, for ten seconds"),
    here(Id::Fleet, "fleet", &[Key::Char('1')], "fleet", "the nodes"),
    here(Id::Jobs, "jobs", &[Key::Char('2')], "jobs", "the jobs"),
    here(Id::Projects, "projects", &[Key::Char('3')], "projects", "the projects"),
    here(Id::Log, "log", &[Key::Char('4')], "log", "the commands that were run from here, and what they said"),
    here(Id::NextScreen, "next", &[Key::Tab], "next", "the next screen"),
    here(Id::EarlierScreen, "earlier", &[Key::BackTab, Key::Char('`')], "earlier", "the screen before"),
    here(Id::Up, "up", &[Key::Up, Key::Char('k')], "up", "one up"),
    here(Id::Down, "down", &[Key::Down, Key::Char('j')], "down", "one down"),
    here(Id::PageUp, "page-up", &[Key::PageUp, Key::Char('b'), Key::Ctrl('b')], "page up", "a page up"),
    here(Id::PageDown, "page-down", &[Key::PageDown, Key::Char(' '), Key::Ctrl('f')], "page down", "a page down"),
    here(Id::First, "first", &[Key::Home, Key::Char('g')], "first", "the first"),
    here(Id::Last, "last", &[Key::End, Key::Char('G')], "last", "the last"),
    here(Id::Quit, "quit", &[Key::Char('q')], "quit", "leaves; what runs goes on"),
];

/// The row of an action.
pub fn row(id: ActionId) -> &'static Row {
    ACTIONS.iter().find(|row| row.id == id).expect("every action stands in the table")
}

/// The action of this name, where it applies.
pub fn named(name: &str, place: Scope) -> Option<&'static Row> {
    ACTIONS.iter().find(|row| row.name == name && row.scope.reaches(place))
}

impl Row {
    /// Can it be done to what is selected?
    pub fn fits(&self, subject: &Subject) -> bool {
        match &self.does {
            Does::Here => true,
            Does::Command(command) => (command.fits)(subject),
        }
    }
}

/// The words of a command line for what is selected; `None` where that has no such part.
pub fn words(line: &str, subject: &Subject) -> Option<Vec<String>> {
    line.split(' ').map(|word| if word.starts_with('{') { part(word, subject) } else { Some(word.to_owned()) }).collect()
}

fn part(word: &str, subject: &Subject) -> Option<String> {
    Some(match (word, subject) {
        ("{node}", Subject::Node(node)) => node.handle.clone(),
        ("{job}", Subject::Job(job)) => job.id.to_string(),
        ("{priority}", Subject::Job(job)) => job.priority.name().to_owned(),
        ("{higher}", Subject::Job(job)) => PRIORITIES[place_of(job.priority).checked_sub(1)?].name().to_owned(),
        ("{lower}", Subject::Job(job)) => PRIORITIES.get(place_of(job.priority) + 1)?.name().to_owned(),
        ("{project}", Subject::Project(project)) => project.id.to_string(),
        ("{root}", Subject::Project(project)) => project.root.clone(),
        _ => return None,
    })
}

const PRIORITIES: [Priority; 5] = [Priority::Critical, Priority::High, Priority::Normal, Priority::Low, Priority::Background];

fn place_of(priority: Priority) -> usize {
    PRIORITIES.iter().position(|other| *other == priority).expect("every priority is in the list")
}

fn is_node(subject: &Subject) -> bool {
    matches!(subject, Subject::Node(_))
}

fn is_active(subject: &Subject) -> bool {
    matches!(subject, Subject::Node(node) if node.is_active)
}

fn is_closed(subject: &Subject) -> bool {
    matches!(subject, Subject::Node(node) if !node.is_active)
}

fn is_project(subject: &Subject) -> bool {
    matches!(subject, Subject::Project(_))
}

fn is_job(subject: &Subject) -> bool {
    matches!(subject, Subject::Job(_))
}

fn is_unfinished(subject: &Subject) -> bool {
    matches!(subject, Subject::Job(job) if !job.status.is_over())
}

fn is_going(subject: &Subject) -> bool {
    matches!(subject, Subject::Job(job) if matches!(job.status, JobStatus::Queued | JobStatus::Running))
}

fn is_paused(subject: &Subject) -> bool {
    matches!(subject, Subject::Job(job) if job.status == JobStatus::Paused)
}

fn has_failed(subject: &Subject) -> bool {
    matches!(subject, Subject::Job(job) if matches!(job.status, JobStatus::Failed | JobStatus::Cancelled))
}

fn can_rise(subject: &Subject) -> bool {
    is_unfinished(subject) && words("{higher}", subject).is_some()
}

fn can_fall(subject: &Subject) -> bool {
    is_unfinished(subject) && words("{lower}", subject).is_some()
}
