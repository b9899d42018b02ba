//! The one table of what a person can do here. Keys, hints, help and the `:` line read it; an action that is not in it does not exist.
//!
//! What concerns the fleet is a command line, and that command line is what is run: a key cannot do anything that its command does not.

mod lines;

use bitacora_core::fleet::JobStatus;

pub use self::lines::{SpelledError, spelled, with_said, words};
use super::{keymap::Key, subject::Subject};

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
    Nearby,
    Events,
    Audit,
    Log,
    Sparks,
    Filter,
    Line,
    Palette,
    Help,
    Undo,
    Mark,
    MarkAll,
    Copy,
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
    CancelSpark,
    Output,
    Analyse,
    AnalyseTree,
    Search,
    SearchAgain,
    Assign,
    Rename,
    Forget,
    Label,
    Run,
    Retire,
    Hybrid,
    Follow,
    Pair,
    Play,
    Later,
    Before,
    Fleets,
    Attach,
    Refresh,
    Verify,
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
    Sparks,
    Projects,
    Symbols,
    Nearby,
    Events,
    Audit,
    Log,
    Fleets,
    /// Something is read in full: help, a command's output.
    Reading,
}

impl Scope {
    pub const PLACES: [Scope; 11] = [
        Scope::Fleet,
        Scope::Jobs,
        Scope::Sparks,
        Scope::Projects,
        Scope::Symbols,
        Scope::Nearby,
        Scope::Events,
        Scope::Audit,
        Scope::Log,
        Scope::Fleets,
        Scope::Reading,
    ];

    /// Does an action of this scope apply where a person is?
    pub fn reaches(self, place: Scope) -> bool {
        self == Scope::Anywhere || self == place
    }
}

/// What an action does.
pub enum Does {
    /// Something inside the dashboard.
    Here,
    /// The same, once it was told what is asked for.
    Told(&'static str),
    Command(Command),
}

/// A command line, with places for what is selected.
pub struct Command {
    /// `{node}`, `{id}` of a node, `{job}`, `{spark}`, `{project}`, `{root}`, `{key}`, `{higher}` and `{lower}` stand for one word each; `{typed}` for what
    /// was typed, `{closed}` for what makes a node as closed as it is; `{said}`, where something is taken back, for the last line that the command said.
    pub line: &'static str,
    pub typed: Typed,
    pub danger: Danger,
    /// Said when it is done.
    pub done: &'static str,
    /// Is there anything to be done to what is selected?
    pub fits: fn(&Subject) -> bool,
}

/// What a person has to type before a command is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    Nothing,
    /// Words of its line; with the question.
    Words(&'static str),
    /// Something that is not for the command line, where others would see it: it is read from stdin.
    Secret(&'static str),
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

const fn scoped(id: Id, name: &'static str, scope: Scope, keys: &'static [Key], hint: &'static str, title: &'static str) -> Row {
    Row { id, name, keys, scope, hint, title, does: Does::Here }
}

/// The table. What stands first is hinted at first.
pub const ACTIONS: &[Row] = &[
    command(
        Id::Cordon,
        ("cordon", Scope::Fleet),
        &[Key::Char('c')],
        ("cordon", "gives the node no more work; it finishes what it has"),
        Command {
            typed: Typed::Nothing,
            line: "node cordon {node}",
            danger: Reversible { undo: Some("node uncordon {node}") },
            done: "cordoned",
            fits: is_active,
        },
    ),
    command(
        Id::Uncordon,
        ("uncordon", Scope::Fleet),
        &[Key::Char('o')],
        ("uncordon", "gives the node work again"),
        Command {
            typed: Typed::Nothing,
            line: "node uncordon {node}",
            danger: Reversible { undo: Some("node {closed}") },
            done: "uncordoned",
            fits: is_closed,
        },
    ),
    command(
        Id::Drain,
        ("drain", Scope::Fleet),
        &[Key::Char('d')],
        ("drain", "empties the node: it finishes what it has, or that is moved after ten minutes"),
        Command {
            typed: Typed::Nothing,
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
            typed: Typed::Nothing,
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
            typed: Typed::Nothing,
            line: "node rm {node} --yes",
            danger: Final { plan: "Its link is closed at once. It must be joined again to come back." },
            done: "removed",
            fits: is_node,
        },
    ),
    command(
        Id::Label,
        ("label", Scope::Fleet),
        &[Key::Char('L')],
        ("label", "gives the node labels, KEY=VALUE, or takes them away, KEY-"),
        Command {
            typed: Typed::Words("labels: KEY=VALUE, or KEY- to take one away"),
            line: "node label {node} {typed}",
            danger: Reversible { undo: Some("node label {node} {labels}") },
            done: "labelled",
            fits: is_node,
        },
    ),
    command(
        Id::Run,
        ("run", Scope::Fleet),
        &[Key::Char('x')],
        ("run", "runs a command on the node, as a spark: jobs show it, and its output"),
        Command {
            typed: Typed::Words("program and its arguments"),
            line: "spark run --detach --nodes {id} -- {typed}",
            danger: Reversible { undo: Some("job cancel {said}") },
            done: "was asked; 2 shows what comes of it",
            fits: is_node,
        },
    ),
    command(
        Id::Retire,
        ("retire", Scope::Fleet),
        &[Key::Char('M')],
        ("retire", "makes the machine of the master run no work: it hands back what it has"),
        Command {
            typed: Typed::Nothing,
            line: "node role {node} master",
            danger: Reversible { undo: Some("node role {node} hybrid") },
            done: "only commands now",
            fits: is_hybrid,
        },
    ),
    command(
        Id::Hybrid,
        ("hybrid", Scope::Fleet),
        &[Key::Char('W')],
        ("hybrid", "makes the machine of the master run work besides"),
        Command {
            typed: Typed::Nothing,
            line: "node role hybrid",
            danger: Reversible { undo: Some("node role master") },
            done: "is to run work too",
            fits: |_| true,
        },
    ),
    command(
        Id::Pause,
        ("pause", Scope::Jobs),
        &[Key::Char('p')],
        ("pause", "starts no more sparks of the job"),
        Command { typed: Typed::Nothing, line: "job pause {job}", danger: Reversible { undo: Some("job resume {job}") }, done: "paused", fits: is_going },
    ),
    command(
        Id::Resume,
        ("resume", Scope::Jobs),
        &[Key::Char('r')],
        ("resume", "goes on with a paused job"),
        Command { typed: Typed::Nothing, line: "job resume {job}", danger: Reversible { undo: Some("job pause {job}") }, done: "resumed", fits: is_paused },
    ),
    command(
        Id::Cancel,
        ("cancel", Scope::Jobs),
        &[Key::Char('x')],
        ("cancel", "ends the job; what it finished stays in the cache"),
        Command {
            typed: Typed::Nothing,
            line: "job cancel {job}",
            danger: Disruptive { plan: "What it runs is called back. What it finished stays in the cache." },
            done: "cancelled",
            fits: is_unfinished,
        },
    ),
    scoped(Id::Sparks, "sparks", Scope::Jobs, &[Key::Char('s')], "sparks", "lists the sparks of the job"),
    command(
        Id::Retry,
        ("retry", Scope::Jobs),
        &[Key::Char('t')],
        ("retry", "gives the failed sparks of a failed or cancelled job another chance"),
        Command { typed: Typed::Nothing, line: "job retry {job}", danger: Reversible { undo: None }, done: "tried again", fits: has_failed },
    ),
    command(
        Id::Raise,
        ("raise", Scope::Jobs),
        &[Key::Char('+'), Key::Char('i')],
        ("raise", "makes the job more urgent by one step"),
        Command {
            typed: Typed::Nothing,
            line: "job priority {job} {higher}",
            danger: Reversible { undo: Some("job priority {job} {priority}") },
            done: "raised",
            fits: can_rise,
        },
    ),
    command(
        Id::Lower,
        ("lower", Scope::Jobs),
        &[Key::Char('-'), Key::Char('I')],
        ("lower", "makes the job less urgent by one step"),
        Command {
            typed: Typed::Nothing,
            line: "job priority {job} {lower}",
            danger: Reversible { undo: Some("job priority {job} {priority}") },
            done: "lowered",
            fits: can_fall,
        },
    ),
    command(
        Id::Explain,
        ("explain", Scope::Jobs),
        &[Key::Char('w')],
        ("why", "says why the job does not run, or is not finished"),
        Command { typed: Typed::Nothing, line: "job explain {job}", danger: Reversible { undo: None }, done: "", fits: is_job },
    ),
    command(
        Id::CancelSpark,
        ("cancel-spark", Scope::Sparks),
        &[Key::Char('x')],
        ("cancel", "ends the spark; the rest of its job goes on"),
        Command {
            typed: Typed::Nothing,
            line: "spark cancel {spark}",
            danger: Disruptive { plan: "What it runs is called back. The rest of its job goes on." },
            done: "cancelled",
            fits: is_open_spark,
        },
    ),
    command(
        Id::Output,
        ("output", Scope::Sparks),
        &[Key::Char('o')],
        ("output", "shows what the spark's command wrote"),
        Command { typed: Typed::Nothing, line: "spark logs {spark}", danger: Reversible { undo: None }, done: "", fits: is_command_spark },
    ),
    command(
        Id::Follow,
        ("follow", Scope::Sparks),
        &[Key::Char('f')],
        ("follow", "shows what the spark's command writes while it writes it"),
        Command { typed: Typed::Nothing, line: "spark logs {spark} --follow", danger: Reversible { undo: None }, done: "", fits: is_command_spark },
    ),
    Row {
        id: Id::Search,
        name: "search",
        keys: &[Key::Char('s')],
        scope: Scope::Projects,
        hint: "symbols",
        title: "finds symbols in the project's last result, with their source",
        does: Does::Told("symbol"),
    },
    command(
        Id::Analyse,
        ("analyze", Scope::Projects),
        &[Key::Char('a')],
        ("analyse", "analyses the project again, on the fleet"),
        Command { typed: Typed::Nothing, line: "analyze -- {root}", danger: Reversible { undo: None }, done: "", fits: is_project },
    ),
    command(
        Id::AnalyseTree,
        ("analyze-tree", Scope::Projects),
        &[Key::Char('n')],
        ("new", "analyses another tree, which becomes a project"),
        Command { typed: Typed::Words("folder"), line: "analyze -- {typed}", danger: Reversible { undo: None }, done: "", fits: |_| true },
    ),
    command(
        Id::Assign,
        ("assign", Scope::Projects),
        &[Key::Char('A')],
        ("assign", "says on which nodes the project's sparks run from now on"),
        Command {
            typed: Typed::Words("nodes by name, or labels KEY=VALUE; nothing for all"),
            line: "project assign {project} {typed}",
            danger: Reversible { undo: Some("project assign {project} {nodes}") },
            done: "assigned",
            fits: is_project,
        },
    ),
    command(
        Id::Rename,
        ("rename", Scope::Projects),
        &[Key::Char('E')],
        ("rename", "gives the project another name"),
        Command {
            typed: Typed::Words("new name"),
            line: "project rename {project} {typed}",
            danger: Reversible { undo: Some("project rename {project} {name}") },
            done: "renamed",
            fits: is_project,
        },
    ),
    command(
        Id::Forget,
        ("forget", Scope::Projects),
        &[Key::Char('R')],
        ("forget", "forgets the project and its results; its folder is not touched"),
        Command {
            typed: Typed::Nothing,
            line: "project rm {project} --yes",
            danger: Final { plan: "It and its results are forgotten. Its folder stays as it is." },
            done: "forgotten",
            fits: is_project,
        },
    ),
    Row {
        id: Id::SearchAgain,
        name: "search-again",
        keys: &[Key::Char('s')],
        scope: Scope::Symbols,
        hint: "search",
        title: "finds other symbols in the same project",
        does: Does::Told("symbol"),
    },
    command(
        Id::Pair,
        ("pair", Scope::Nearby),
        &[Key::Char('p')],
        ("pair", "takes the node into the fleet, by the code that it shows"),
        Command {
            typed: Typed::Secret("code that the node shows"),
            line: "node pair {key}",
            danger: Reversible { undo: None },
            done: "belongs to the fleet",
            fits: is_unpaired,
        },
    ),
    scoped(Id::Play, "play", Scope::Events, &[Key::Char('p')], "play", "plays what has happened, from here on; again, it stops"),
    scoped(Id::Later, "later", Scope::Events, &[Key::Char('n')], "later", "one event later, also while one is looked at in full"),
    scoped(Id::Before, "before", Scope::Events, &[Key::Char('N')], "before", "one event before, also while one is looked at in full"),
    command(
        Id::Verify,
        ("verify", Scope::Audit),
        &[Key::Char('c')],
        ("check", "checks that no record was changed, moved or removed"),
        Command { typed: Typed::Nothing, line: "audit verify", danger: Reversible { undo: None }, done: "", fits: |_| true },
    ),
    scoped(Id::Refresh, "refresh", Scope::Audit, &[Key::Char('r')], "refresh", "reads the audit again"),
    scoped(Id::Stop, "stop", Scope::Log, &[Key::Char('x')], "stop", "ends the selected command, if it still runs"),
    scoped(Id::Attach, "attach", Scope::Fleets, &[Key::Char('a')], "attach", "goes to the dashboard of the selected node's fleet"),
    here(Id::Open, "open", &[Key::Enter, Key::Right, Key::Char('l')], "open", "shows what is selected in full"),
    here(Id::Filter, "filter", &[Key::Char('/')], "filter", "keeps the lines that match an expression; ! in front keeps the others"),
    here(Id::Line, "command", &[Key::Char(':'), Key::Char('e')], "command", "runs a command line, in the same words as in a shell"),
    here(Id::Palette, "palette", &[Key::Char('P')], "all", "lists everything that can be done here, by name"),
    here(Id::Help, "help", &[Key::Char('?'), Key::Char('H')], "help", "says what every key does"),
    here(Id::Back, "back", &[Key::Esc, Key::Left, Key::Char('h'), Key::Backspace], "back", "goes back; ends a filter"),
    here(Id::Undo, "undo", &[Key::Char('u')], "undo", "takes back what was done last, for ten seconds"),
    here(Id::Mark, "mark", &[Key::Char('v')], "mark", "marks the entry, or no longer: actions are then for all that are marked"),
    here(Id::MarkAll, "mark-all", &[Key::Char('V')], "mark all", "marks everything that is listed, or nothing any more"),
    here(Id::Copy, "copy", &[Key::Char('y')], "copy", "copies what is selected, or the text that is read, to the clipboard of the terminal"),
    here(Id::Fleet, "fleet", &[Key::Char('1')], "fleet", "the nodes"),
    here(Id::Jobs, "jobs", &[Key::Char('2')], "jobs", "the jobs"),
    here(Id::Projects, "projects", &[Key::Char('3')], "projects", "the projects, and what their results come to"),
    here(Id::Nearby, "nearby", &[Key::Char('4')], "nearby", "the nodes that announce themselves on the local network"),
    here(Id::Events, "events", &[Key::Char('5')], "events", "what has happened, and how the fleet was then"),
    here(Id::Audit, "audit", &[Key::Char('6')], "audit", "what was done that concerns the fleet's safety, and by whom"),
    here(Id::Log, "log", &[Key::Char('7')], "log", "the commands that were run from here, and what they said"),
    here(Id::Fleets, "fleets", &[Key::Char('8')], "fleets", "the nodes of every fleet that this device has joined, and of its own"),
    here(Id::NextScreen, "next", &[Key::Tab], "next", "the next screen"),
    here(Id::EarlierScreen, "earlier", &[Key::BackTab, Key::Char('`'), Key::Char('B')], "earlier", "the screen before"),
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

/// Command lines that change nothing, by how they begin.
const READING: [&str; 35] = [
    "completions",
    "config show",
    "config get",
    "config check",
    "config path",
    "doctor",
    "symbols",
    "metrics",
    "deps",
    "events",
    "replay",
    "schema",
    "wait",
    "help",
    "--help",
    "--version",
    "node ls",
    "node show",
    "node doctor",
    "node discover",
    "project ls",
    "project show",
    "job ls",
    "job show",
    "job watch",
    "job explain",
    "spark ls",
    "spark show",
    "spark logs",
    "audit ls",
    "audit verify",
    "cache stats",
    "bench link",
    "bench analysis",
    "man",
];

/// Does a command line only read?
pub fn only_reads(words: &[String]) -> bool {
    let begins = |known: &&str| known.split(' ').zip(words.iter().map(String::as_str).chain(std::iter::repeat(""))).all(|(known, word)| known == word);
    READING.iter().any(begins)
}

/// Does a command line tell what happens until somebody has heard enough?
pub fn follows(words: &[String]) -> bool {
    let is_logs = words.first().is_some_and(|word| word == "events") || words.starts_with(&["spark".to_owned(), "logs".to_owned()]);
    is_logs && words.iter().any(|word| word == "--follow" || word == "-f")
}

impl Row {
    /// Can it be done to what is selected?
    pub fn fits(&self, subject: &Subject) -> bool {
        match &self.does {
            Does::Here | Does::Told(_) => true,
            Does::Command(command) => (command.fits)(subject),
        }
    }

    /// Does it change something outside of the dashboard?
    pub fn changes(&self) -> bool {
        matches!(&self.does, Does::Command(command) if !only_reads(&command.line.split(' ').map(str::to_owned).collect::<Vec<_>>()))
    }
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

/// The master's own machine, as a node.
fn is_hybrid(subject: &Subject) -> bool {
    matches!(subject, Subject::Node(node) if node.is_hybrid)
}

fn is_project(subject: &Subject) -> bool {
    matches!(subject, Subject::Project(_))
}

fn is_unpaired(subject: &Subject) -> bool {
    matches!(subject, Subject::Seen(seen) if !seen.paired)
}

fn is_open_spark(subject: &Subject) -> bool {
    matches!(subject, Subject::Spark(spark) if !spark.is_over)
}

fn is_command_spark(subject: &Subject) -> bool {
    matches!(subject, Subject::Spark(spark) if spark.is_command)
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
    is_unfinished(subject) && words("{higher}", subject, "").is_some()
}

fn can_fall(subject: &Subject) -> bool {
    is_unfinished(subject) && words("{lower}", subject, "").is_some()
}
