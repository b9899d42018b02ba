//! The palette: what can be done here, and its keys.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{Touched, foot, paint, rule};
use crate::tui::{
    keymap::Key,
    layout,
    palette::rows,
    state::{Palette, State},
    theme::{Theme, Tone},
};

/// A rule and what is typed.
const HEAD: u16 = 2;
/// More is found by typing.
const ROWS_MAX: u16 = 16;

fn area(state: &State) -> Rect {
    let all = Rect::from((Position::ORIGIN, state.size));
    layout::cut_below(all, (HEAD + ROWS_MAX).min(all.height)).1
}

/// The first row that is shown.
fn top(palette: &Palette, room: u16) -> usize {
    (palette.at + 1).saturating_sub(usize::from(room))
}

pub(super) fn draw(state: &State, palette: &Palette, theme: Theme, buffer: &mut Buffer) {
    let area = area(state);
    paint::clear(buffer, area);
    let (head, list) = layout::cut_above(area, HEAD);
    rule(buffer, head, theme, Tone::Accent);
    paint::line(buffer, layout::cut_above(head, 1).1, &foot::typed(" do: ", &palette.typed, area), theme);
    let found = rows(state, &palette.typed.text());
    if found.is_empty() {
        paint::line(buffer, list, &paint::plain(" nothing here is called so; esc leaves", Tone::Dim), theme);
    }
    let top = top(palette, list.height);
    for (y, (nth, row)) in (list.y..list.bottom()).zip(found.into_iter().enumerate().skip(top)) {
        let line = Rect { y, height: 1, ..list };
        let mark = theme.mark(nth == palette.at, false);
        let pieces = vec![
            (mark, Tone::Accent),
            (format!("{:<13}", row.name), Tone::Title),
            (format!("{:<6}", state.options.keymap.first(row).map(Key::name).unwrap_or_default()), Tone::Accent),
            (row.title.into(), Tone::Dim),
        ];
        paint::line(buffer, line, &pieces, theme);
        if nth == palette.at {
            paint::highlight(buffer, line, theme);
        }
    }
}

pub(super) fn touched(state: &State, palette: &Palette, at: Position) -> Option<Touched> {
    let area = area(state);
    if !area.contains(at) {
        return Some(Touched::Dismiss);
    }
    let (_, list) = layout::cut_above(area, HEAD);
    let nth = top(palette, list.height) + usize::from(at.y.checked_sub(list.y)?);
    rows(state, &palette.typed.text()).get(nth).map(|row| Touched::Action(row.id))
}
