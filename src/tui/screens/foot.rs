//! The last row: what is typed, what was said, or which keys do something now.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{Touched, bar, paint};
use crate::tui::{
    actions::{self, ACTIONS, ActionId, Does, Row},
    editor::Editor,
    keymap::Key,
    layout::Tier,
    state::{Feed, Mode, Screen, State},
    suggest,
    theme::{Theme, Tone, UNICODE},
    widgets::paint::Line,
};

/// Besides help, on a phone and on anything wider: more of them are read by nobody.
const HINTS_PHONE_MAX: usize = 3;
const HINTS_MAX: usize = 10;

pub(super) fn draw(state: &State, theme: Theme, buffer: &mut Buffer, area: Rect) {
    let line = match (&state.mode, &state.flash) {
        // Why a line is not run is read before it is mended.
        (Mode::Line(_), Some(flash)) if flash.is_trouble => paint::plain(format!(" {}", flash.text), Tone::Bad),
        (Mode::Line(editor), _) => {
            let mut line = typed(":", editor, area);
            // The first letter of what may follow stands under the cursor.
            if let Some(rest) = suggest::rest(state, &editor.text()).filter(|_| editor.is_at_end()) {
                let mut letters = rest.chars();
                line[2].0 = letters.next().unwrap_or(' ').to_string();
                line.push((letters.collect(), Tone::Dim));
            }
            line
        }
        (Mode::Filter(editor), _) => typed("/", editor, area),
        (_, Some(flash)) => {
            paint::plain(format!(" {}", flash.text.replace(UNICODE.dot, theme.signs.dot)), if flash.is_trouble { Tone::Bad } else { Tone::Accent })
        }
        (_, None) if stands_for_bar(state) => bar::feed(state, theme),
        (_, None) => hints(state, usize::from(area.width)).into_iter().flat_map(|(_, pieces)| pieces).collect(),
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
fn hints(state: &State, width: usize) -> Vec<(ActionId, Line)> {
    let subject = state.subject();
    let allowed = |row: &Row| !(state.options.read_only && row.changes());
    let fits = |row: &&Row| row.scope.reaches(state.scope()) && row.fits(&subject) && allowed(row) && is_useful(state, row);
    // Help is always among them: it names the rest.
    let help_key = state.options.keymap.first(actions::row(ActionId::Help)).map_or_else(|| ":".to_owned(), Key::name);
    let help = hint(&help_key, "help");
    let (mut hints, mut room) = (Vec::new(), width.saturating_sub(paint::width(&help)));
    // The way out of what is opened comes first.
    let (out, others): (Vec<&Row>, Vec<&Row>) = ACTIONS.iter().filter(fits).partition(|row| row.id == ActionId::Back);
    let hints_max = if state.tier <= Tier::Phone { HINTS_PHONE_MAX } else { HINTS_MAX };
    for row in out.into_iter().chain(others).take(hints_max) {
        let Some(key) = state.options.keymap.first(row) else { continue };
        let plays = row.id == ActionId::Play && state.pace.plays_at.is_some();
        let pieces = hint(&key.name(), if plays { "stop" } else { row.hint });
        let Some(left) = room.checked_sub(paint::width(&pieces)) else { break };
        room = left;
        hints.push((row.id, pieces));
    }
    hints.push((ActionId::Help, help));
    hints
}

fn hint(key: &str, word: &str) -> Line {
    vec![(format!(" {key}"), Tone::Accent), (format!(" {word} "), Tone::Dim)]
}

/// Movement is known, and what leads nowhere is no hint.
fn is_useful(state: &State, row: &Row) -> bool {
    let is_browsing = state.mode == Mode::Browse;
    match row.id {
        ActionId::Open => !state.opened && state.list().selected.is_some() && is_browsing,
        ActionId::Back => state.opened || !is_browsing || !state.list().filter.is_empty() || state.screen != state.screen.tab(),
        ActionId::Undo => state.flash.as_ref().is_some_and(|flash| !flash.undo.is_empty()),
        ActionId::Filter => !state.opened && is_browsing && !state.shown.is_empty(),
        ActionId::Stop => state.screen == Screen::Log && state.log.entries().get(state.list().at).is_some_and(|entry| entry.outcome.is_none()),
        ActionId::Sparks | ActionId::Play | ActionId::Attach => !state.shown.is_empty(),
        // In the list whatever moves does the same.
        ActionId::Later | ActionId::Before => state.opened,
        ActionId::Search => state.selected_project().is_some_and(|project| !project.results.is_empty()),
        // Of no node that could be selected, and seldom wanted.
        ActionId::Hybrid => false,
        ActionId::Refresh | ActionId::SearchAgain | ActionId::Line | ActionId::NextScreen | ActionId::Quit => true,
        _ => matches!(row.does, Does::Command(_)),
    }
}

/// Where there is no bar to say that what is shown may not be true. What is opened has its way back here.
fn stands_for_bar(state: &State) -> bool {
    state.feed != Feed::Live && state.areas().bar.is_empty() && !is_useful(state, actions::row(ActionId::Back))
}

/// A hint does what it says.
pub(super) fn touched(state: &State, area: Rect, at: Position) -> Option<Touched> {
    if state.flash.is_none() && stands_for_bar(state) {
        return None;
    }
    if let Some(flash) = &state.flash {
        return (!flash.undo.is_empty()).then_some(Touched::Action(ActionId::Undo));
    }
    let mut x = usize::from(area.x);
    for (id, line) in hints(state, usize::from(area.width)) {
        x += paint::width(&line);
        if usize::from(at.x) < x {
            return Some(Touched::Action(id));
        }
    }
    None
}
