//! The one door to the state: something happened, the state changes, and maybe something is to be done. Pure: it reads no clock and asks nobody.

mod acting;
mod hearing;
mod moving;
mod typing;

use std::fmt;

use bitacora_core::time::Span;
use ratatui::layout::{Position, Size};

use super::{
    actions::ActionId,
    asked::{Query, Reply},
    keymap::Key,
    layout::Tier,
    log::Outcome,
    screens,
    state::{Mode, Screen, State, TICK},
};
use crate::control::watch::News;

/// Between two events of a timeline that is played.
const PLAY_EVERY: Span = Span::from_millis(400);
/// Entries that a turn of a wheel moves.
const WHEEL: usize = 3;

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
    /// A finger or a mouse.
    Tapped(Position),
    Wheeled {
        up: bool,
    },
    Heard(Heard),
    Ran {
        number: u32,
        outcome: Outcome,
    },
    /// A command that runs has written lines, after some that went by too fast.
    Said {
        number: u32,
        text: String,
        dropped: u64,
    },
    Answered {
        query: Query,
        reply: Reply,
    },
    /// The next deadline has come.
    Woken,
}

/// What was heard of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    News(Box<News>),
    NoMaster,
    Failed(String),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    Suspend,
    Run(Vec<Errand>),
    /// End a command that runs.
    Stop {
        number: u32,
    },
    /// To the clipboard of the terminal.
    Copy(String),
    /// To the dashboard of another fleet, by its name; `None` for this machine's own.
    Attach(Option<String>),
}

/// A command line to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    pub number: u32,
    pub words: Vec<String>,
    pub input: Option<Secret>,
}

/// What a command is told on its stdin, and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

pub fn update(state: &mut State, cmd: Cmd) -> Option<Action> {
    state.dirty |= !matches!(cmd, Cmd::Woken | Cmd::Heard(_) | Cmd::Said { .. });
    let before = (state.screen, matches!(cmd, Cmd::Woken | Cmd::Wheeled { .. } | Cmd::Said { .. }) || is_movement(&cmd));
    let action = match cmd {
        Cmd::Do(id) => acting::act(state, id),
        Cmd::Edit(key) => typing::edit(state, key),
        Cmd::Paste(text) => typing::paste(state, &text),
        Cmd::Agree => acting::agree(state),
        Cmd::Dismiss => dismiss(state),
        Cmd::Quit => Some(Action::Quit),
        Cmd::Suspend => Some(Action::Suspend),
        Cmd::Resized(size) => resize(state, size),
        Cmd::Tapped(at) => tap(state, at),
        Cmd::Wheeled { up } => moving::wheel(state, up, WHEEL),
        Cmd::Heard(heard) => hearing::on_heard(state, heard),
        Cmd::Ran { number, outcome } => hearing::on_ran(state, number, outcome),
        Cmd::Said { number, text, dropped } => hearing::on_said(state, number, &text, dropped),
        Cmd::Answered { query, reply } => hearing::on_answer(state, &query, reply),
        Cmd::Woken => wake(state),
    };
    // What merely moves changes nothing that is listed, and ten thousand entries are not looked through for it.
    moving::settle(state, before != (state.screen, true));
    action
}

const fn is_movement(cmd: &Cmd) -> bool {
    use ActionId::{Before, Down, First, Last, Later, PageDown, PageUp, Up};
    matches!(cmd, Cmd::Do(Before | Later | Up | Down | PageUp | PageDown | First | Last))
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
    if state.ticks() && state.pace.ticked + TICK <= state.now {
        state.pace.ticked = state.now;
        state.dirty = true;
    }
    if state.pace.plays_at.is_some_and(|due| due <= state.now) {
        play_on(state);
    }
    None
}

/// One event further, until there is no other.
fn play_on(state: &mut State) {
    let is_last = state.list().at + 1 >= state.shown.len();
    state.pace.plays_at = (!is_last && state.screen == Screen::Events).then_some(state.now + PLAY_EVERY);
    if state.pace.plays_at.is_some() {
        state.scroll = 0;
        moving::step(state, moving::Step::Down);
    }
    state.dirty = true;
}

/// What lies under a finger: an entry is selected, and opened by the second tap.
fn tap(state: &mut State, at: Position) -> Option<Action> {
    match screens::touched(state, at)? {
        screens::Touched::Entry(entry) if entry == state.list().at => acting::act(state, ActionId::Open),
        screens::Touched::Entry(entry) => {
            moving::go_to(state, entry);
            None
        }
        screens::Touched::Action(id) => acting::act(state, id),
        screens::Touched::Told(id) => {
            state.mode = Mode::Browse;
            if id == ActionId::Help { None } else { acting::act(state, id) }
        }
        screens::Touched::Agree => acting::agree(state),
        screens::Touched::Dismiss => dismiss(state),
    }
}

fn dismiss(state: &mut State) -> Option<Action> {
    state.mode = Mode::Browse;
    None
}

fn show(state: &mut State, screen: Screen) -> Option<Action> {
    (state.screen, state.mode, state.opened, state.scroll) = (screen, Mode::Browse, false, 0);
    state.pace.plays_at = None;
    // It may have grown.
    state.asked.audit_is_due |= screen == Screen::Audit;
    None
}

#[cfg(test)]
mod tests;
