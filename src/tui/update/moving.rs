//! Moving through lists and texts, and keeping the selection on something that is there.

use super::Action;
use crate::tui::{
    actions::Scope,
    screens,
    state::{Mode, Screen, State},
};

/// A way through a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
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

/// Moves through what is in front: a text, or a list.
pub(super) fn travel(state: &mut State, step: Step) -> Option<Action> {
    state.pace.plays_at = None;
    if state.scope() == Scope::Reading || state.opened {
        let (lines, room) = screens::reading(state);
        let last = lines.saturating_sub(room);
        state.scroll = step.from(state.scroll.min(last), room.saturating_sub(1).max(1), last);
        state.follows = state.scroll == last;
    } else {
        self::step(state, step);
    }
    None
}

/// To the end of what is read, unless somebody looks at an earlier part.
pub(super) fn follow(state: &mut State) {
    if state.follows {
        let (lines, room) = screens::reading(state);
        state.scroll = lines.saturating_sub(room);
    }
}

pub(super) fn step(state: &mut State, step: Step) {
    let last = state.shown.len().saturating_sub(1);
    let at = step.from(state.list().at, rows(state), last);
    go_to(state, at);
}

/// Selects an entry of those shown.
pub(super) fn go_to(state: &mut State, at: usize) {
    state.list_mut().follows = at + 1 >= state.shown.len();
    select(state, at);
}

pub(super) fn wheel(state: &mut State, up: bool, by: usize) -> Option<Action> {
    (0..by).for_each(|_| drop(travel(state, if up { Step::Up } else { Step::Down })));
    None
}

/// Afterwards the selection is on something that is there and on the screen.
pub(super) fn settle(state: &mut State, relist: bool) {
    if relist {
        state.shown = state.passing();
    }
    let last = state.shown.len().saturating_sub(1);
    let list = state.list();
    let is_at = |at: &usize| state.shown.get(*at).is_some_and(|place| Some(state.key_of(*place)) == list.selected);
    let at = if state.screen.grows_at_its_end() && list.follows {
        last
    } else {
        let found = Some(list.at).filter(is_at).or_else(|| list.selected.as_ref().and_then(|_| (0..state.shown.len()).find(is_at)));
        found.unwrap_or(list.at).min(last)
    };
    select(state, at);
    if state.shown.is_empty() && matches!(state.mode, Mode::Browse | Mode::Line(_) | Mode::Filter(_) | Mode::Confirm(_)) {
        state.opened = false;
    }
}

fn select(state: &mut State, at: usize) {
    let (rows, count) = (rows(state), state.shown.len());
    let place = state.shown.get(at).copied();
    let key = place.map(|place| state.key_of(place));
    let list = state.list_mut();
    (list.selected, list.at, list.place) = (key, at, place.unwrap_or_default());
    let last_top = count.saturating_sub(rows);
    list.top = list.top.clamp(at.saturating_sub(rows.saturating_sub(1)), at).min(last_top);
}

/// Entries that fit on the screen.
fn rows(state: &State) -> usize {
    let lines = state.tier.lines_per_entry(state.size);
    usize::from(state.areas().list.height / lines).max(1)
}

/// The next tab, or the one before.
pub(super) fn turn(state: &mut State, by: usize) -> Option<Action> {
    let tabs: Vec<Screen> = state.tabs().collect();
    let at = tabs.iter().position(|tab| *tab == state.screen.tab()).unwrap_or_default();
    super::show(state, tabs[(at + by) % tabs.len()])
}
