//! What every key does here: the table of actions, read aloud.

use super::{Line, paint};
use crate::tui::{
    actions::{ACTIONS, ActionId, Does, Row, Scope},
    state::State,
    theme::Tone,
};

/// From here on a key and its sentence stand on one line.
const ONE_LINE_MIN: usize = 70;

pub(super) fn lines(state: &State) -> Vec<Line> {
    told(state).into_iter().map(|(_, line)| line).collect()
}

/// The action that a line tells of: whoever has no keys touches it there.
pub(super) fn touched(state: &State, line: usize) -> Option<ActionId> {
    told(state).into_iter().nth(line).and_then(|(id, _)| id)
}

fn told(state: &State) -> Vec<(Option<ActionId>, Line)> {
    let titled = |title: &'static str, scope: Scope| {
        let rows = ACTIONS.iter().filter(move |row| row.scope == scope);
        let entries = rows.flat_map(|row| entry(state, row).into_iter().map(|line| (Some(row.id), line)));
        std::iter::once((None, paint::plain(title, Tone::Title))).chain(entries).chain([(None, Line::new())])
    };
    let mut lines: Vec<(Option<ActionId>, Line)> = titled(state.screen.name(), state.screen.scope()).collect();
    lines.extend(titled("everywhere", Scope::Anywhere));
    lines.push((None, paint::plain("An action's name works after : as well.", Tone::Dim)));
    lines
}

fn entry(state: &State, row: &Row) -> Vec<Line> {
    let width = usize::from(state.size.width);
    let keys: Vec<String> = state.options.keymap.keys(row).iter().map(|key| key.name()).collect();
    let first = vec![(format!("  {:<20} ", keys.join(" ")), Tone::Accent), (format!("{:<10} ", row.name), Tone::Text)];
    let begun = paint::width(&first);
    let indent = " ".repeat(if width < ONE_LINE_MIN { 4 } else { begun });
    let mut told = paint::wrapped(row.title, width.saturating_sub(indent.len())).into_iter();
    let mut lines = vec![first];
    if width >= ONE_LINE_MIN {
        lines[0].extend(told.next().map(|text| (text, Tone::Dim)));
    }
    lines.extend(told.map(|text| paint::plain(format!("{indent}{text}"), Tone::Dim)));
    if let Does::Command(command) = &row.does {
        lines.push(paint::plain(format!("{indent}bitacora {}", command.line), Tone::Dim));
    }
    lines
}
