//! The last row: what is typed, what was said, or which keys do something now.

use ratatui::{buffer::Buffer, layout::Rect};

use super::paint;
use crate::tui::{
    actions::{ACTIONS, ActionId, Does},
    editor::Editor,
    state::{Mode, Screen, State},
    theme::{Theme, Tone},
    widgets::paint::Line,
};

/// A phone has room for so many.
const HINTS_MAX: usize = 10;

pub(super) fn draw(state: &State, theme: Theme, buffer: &mut Buffer, area: Rect) {
    let line = match (&state.mode, &state.flash) {
        (Mode::Line(editor), _) => typed(":", editor, area),
        (Mode::Filter(editor), _) => typed("/", editor, area),
        (_, Some(flash)) => paint::plain(format!(" {}", flash.text), if flash.is_trouble { Tone::Bad } else { Tone::Accent }),
        (Mode::Browse | Mode::Help | Mode::Reading(_) | Mode::Confirm(_), None) => hints(state, usize::from(area.width)),
    };
    paint::line(buffer, area, &line, theme);
}

/// The end of a line that is too long is what is seen: there it is typed.
pub(super) fn typed(prompt: &str, editor: &Editor, area: Rect) -> Line {
    let (before, after) = editor.halves();
    let room = usize::from(area.width).saturating_sub(prompt.len() + 1);
    let hidden = before.chars().count().saturating_sub(room);
    let mut after = after.chars();
    let under = after.next().unwrap_or(' ').to_string();
    vec![(prompt.to_owned(), Tone::Accent), (before.chars().skip(hidden).collect(), Tone::Text), (under, Tone::Selected), (after.collect(), Tone::Text)]
}

/// What can be done to what is selected, then how to get on.
fn hints(state: &State, width: usize) -> Line {
    let subject = state.subject();
    let is_command = |does: &Does| matches!(does, Does::Command(_));
    let fits = |row: &&crate::tui::actions::Row| row.scope.reaches(state.scope()) && row.fits(&subject) && is_useful(state, row.id, is_command(&row.does));
    let mut line = Line::new();
    // Help is always among them: it names the rest.
    let help = |line: &mut Line| line.extend([(" ?".to_owned(), Tone::Accent), (" help ".to_owned(), Tone::Dim)]);
    for row in ACTIONS.iter().filter(fits).take(HINTS_MAX) {
        let pieces = [(format!(" {}", row.keys[0].name()), Tone::Accent), (format!(" {} ", row.hint), Tone::Dim)];
        let needed: usize = pieces.iter().map(|(text, _)| text.len()).sum();
        if paint::width(&line) + needed + " ? help ".len() > width {
            break;
        }
        line.extend(pieces);
    }
    help(&mut line);
    line
}

/// Movement is known, and what leads nowhere is no hint.
fn is_useful(state: &State, id: ActionId, is_command: bool) -> bool {
    match id {
        ActionId::Open => !state.opened && state.list().selected.is_some() && state.mode == Mode::Browse,
        ActionId::Back => state.opened || state.mode != Mode::Browse || !state.list().filter.is_empty(),
        ActionId::Undo => state.flash.as_ref().is_some_and(|flash| flash.undo.is_some()),
        ActionId::Filter => !state.opened && state.mode == Mode::Browse,
        ActionId::Stop => state.screen == Screen::Log && state.log.entries().get(state.list().at).is_some_and(|entry| entry.outcome.is_none()),
        ActionId::Line | ActionId::NextScreen | ActionId::Quit => true,
        _ => is_command,
    }
}
