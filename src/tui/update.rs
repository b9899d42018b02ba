//! The one door to the state: something happened, the state changes, and maybe something is to be done. Pure: it reads no clock and asks nobody.

mod acting;
mod hearing;

use bitacora_core::ids::JobId;
use ratatui::layout::Size;

use super::{
    actions::{ActionId, Scope},
    editor::Editor,
    filter::Filter,
    keymap::Key,
    layout::Tier,
    log::Outcome,
    state::{Mode, Screen, State, Subject},
    words,
};
use crate::control::{NodeDetail, Snapshot};

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Cmd {
    Do(ActionId),
    /// A key for the line that is being typed.
    Edit(Key),
    Paste(String),
    /// Yes, to what is asked.
    Agree,
    /// No.
    Dismiss,
    Quit,
    Suspend,
    Resized(Size),
    Heard(Box<Report>),
    Ran {
        number: u32,
        outcome: Outcome,
    },
    /// The next deadline has come.
    Woken,
}

/// What was heard of the master at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub fleet: Heard,
    pub node: Option<Box<NodeDetail>>,
    pub reasons: Option<(JobId, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Snapshot(Box<Snapshot>),
    NoMaster,
    Failed(String),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    Suspend,
    Run {
        number: u32,
        words: Vec<String>,
    },
    /// End a command that runs.
    Stop {
        number: u32,
    },
}

pub fn update(state: &mut State, cmd: Cmd) -> Option<Action> {
    state.dirty |= !matches!(cmd, Cmd::Woken | Cmd::Heard(_));
    let action = match cmd {
        Cmd::Do(id) => acting::act(state, id),
        Cmd::Edit(key) => edit(state, key),
        Cmd::Paste(text) => paste(state, &text),
        Cmd::Agree => acting::agree(state),
        Cmd::Dismiss => dismiss(state),
        Cmd::Quit => Some(Action::Quit),
        Cmd::Suspend => Some(Action::Suspend),
        Cmd::Resized(size) => resize(state, size),
        Cmd::Heard(report) => hearing::on_report(state, *report),
        Cmd::Ran { number, outcome } => hearing::on_ran(state, number, outcome),
        Cmd::Woken => wake(state),
    };
    settle(state);
    action
}

fn resize(state: &mut State, size: Size) -> Option<Action> {
    state.tier = Tier::of(size, Some(state.tier));
    state.size = size;
    None
}

fn wake(state: &mut State) -> Option<Action> {
    if state.flash.as_ref().is_some_and(|flash| flash.until <= state.now) {
        state.flash = None;
        state.dirty = true;
    }
    None
}

fn dismiss(state: &mut State) -> Option<Action> {
    state.mode = Mode::Browse;
    None
}

fn paste(state: &mut State, text: &str) -> Option<Action> {
    match &mut state.mode {
        Mode::Line(editor) | Mode::Filter(editor) => editor.insert(text),
        Mode::Confirm(question) => question.typed.insert(text),
        // What is pasted is text, and never keys.
        Mode::Browse | Mode::Help | Mode::Reading(_) => {}
    }
    None
}

fn edit(state: &mut State, key: Key) -> Option<Action> {
    match (std::mem::take(&mut state.mode), key) {
        (Mode::Filter(_), Key::Esc) => state.list_mut().filter = Filter::default(),
        (_, Key::Esc) => {}
        (Mode::Line(editor), Key::Enter) => return run_line(state, &editor.text()),
        (Mode::Filter(_), Key::Enter) => {}
        (Mode::Confirm(question), Key::Enter) => {
            let is_typed = question.expected.as_deref() == Some(question.typed.text().trim());
            state.mode = Mode::Confirm(question);
            return is_typed.then(|| acting::agree(state)).flatten();
        }
        (Mode::Line(editor), Key::Up | Key::Down) => state.mode = Mode::Line(recalled(state, editor, key == Key::Up)),
        (Mode::Line(mut editor), key) => {
            // Nothing is left to erase: the line is left too.
            let leaves = editor.is_empty() && key == Key::Backspace;
            editor.edit(key);
            state.mode = if leaves { Mode::Browse } else { Mode::Line(editor) };
        }
        (Mode::Filter(mut editor), key) => {
            editor.edit(key);
            state.list_mut().filter = Filter::new(&editor.text());
            state.mode = Mode::Filter(editor);
        }
        (Mode::Confirm(mut question), key) => {
            question.typed.edit(key);
            state.mode = Mode::Confirm(question);
        }
        (mode @ (Mode::Browse | Mode::Help | Mode::Reading(_)), _) => state.mode = mode,
    }
    None
}

/// The line that was run before the one shown, or after it.
fn recalled(state: &State, editor: Editor, earlier: bool) -> Editor {
    let lines: Vec<&str> = state.log.entries().iter().map(|entry| entry.line.as_str()).collect();
    let at = lines.iter().position(|line| *line == editor.text());
    let wanted = if earlier { Some(at.map_or(0, |at| at + 1)) } else { at.and_then(|at| at.checked_sub(1)) };
    match wanted.and_then(|place| lines.get(place)) {
        Some(line) => Editor::holding(line),
        None if earlier => editor,
        None => Editor::default(),
    }
}

/// One word that is an action is that action; everything else is a command line.
fn run_line(state: &mut State, line: &str) -> Option<Action> {
    let Some(command) = words::split(line) else {
        state.mode = Mode::Line(Editor::holding(line));
        return acting::say(state, "a quote is not ended".into(), true);
    };
    match command.as_slice() {
        [] => None,
        [word] => match super::actions::named(word, state.screen.scope()) {
            Some(row) => acting::act(state, row.id),
            None => acting::begin(state, command, super::log::After::default()),
        },
        _ => acting::begin(state, command, super::log::After::default()),
    }
}

/// Afterwards the selection is on something that is there and on the screen.
fn settle(state: &mut State) {
    let shown = state.shown();
    let wanted = state.list().selected.clone();
    let found = wanted.and_then(|wanted| shown.iter().position(|place| state.key_of(*place) == wanted));
    let at = found.unwrap_or(state.list().at).min(shown.len().saturating_sub(1));
    select(state, &shown, at);
    if !matches!(state.mode, Mode::Browse | Mode::Line(_) | Mode::Filter(_) | Mode::Confirm(_)) {
        return;
    }
    if state.subject() == Subject::Nothing {
        state.opened = false;
    }
}

/// Moves to an entry of those shown.
fn select(state: &mut State, shown: &[usize], at: usize) {
    let key = shown.get(at).map(|place| state.key_of(*place));
    let rows = rows(state);
    let list = state.list_mut();
    (list.selected, list.at) = (key, at);
    let last_top = shown.len().saturating_sub(rows);
    list.top = list.top.clamp(at.saturating_sub(rows.saturating_sub(1)), at).min(last_top);
}

/// Entries that fit on the screen.
fn rows(state: &State) -> usize {
    let lines = state.tier.lines_per_entry(state.size);
    usize::from(state.areas().list.height / lines).max(1)
}

/// Moves through what is in front: a text, or a list.
fn travel(state: &mut State, step: Step) {
    if state.scope() == Scope::Reading {
        let page = usize::from(state.areas().detail.height.saturating_sub(1)).max(1);
        // Whoever draws stops at the end; here it is kept from running away.
        let last = super::screens::reading_lines(state).saturating_sub(page);
        state.scroll = step.from(state.scroll, page, last);
        return;
    }
    let shown = state.shown();
    let at = step.from(state.list().at, rows(state), shown.len().saturating_sub(1));
    select(state, &shown, at);
}

/// A way through a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Step {
    fn from(self, at: usize, page: usize, last: usize) -> usize {
        match self {
            Step::Up => at.saturating_sub(1),
            Step::Down => at + 1,
            Step::PageUp => at.saturating_sub(page),
            Step::PageDown => at + page,
            Step::First => 0,
            Step::Last => last,
        }
        .min(last)
    }
}

fn show(state: &mut State, screen: Screen) -> Option<Action> {
    (state.screen, state.mode, state.opened) = (screen, Mode::Browse, false);
    None
}

#[cfg(test)]
mod tests;
