//! The screens: functions of the state to cells, one file each. They change nothing and ask nobody.

mod bar;
mod dialog;
mod fleet;
mod foot;
mod guide;
mod help;
mod jobs;
mod log;
mod node;
mod output;
mod projects;
mod sentence;

use bitacora_core::time::Span;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    layout::{Areas, Tier},
    state::{Mode, Screen, State},
    theme::{Theme, Tone},
    widgets::{
        paint::{self, Line, Piece},
        table::{self, Column},
    },
};

/// Draws everything.
pub fn draw(state: &State, theme: Theme, buffer: &mut Buffer) {
    let areas = state.areas();
    if state.tier == Tier::Sentence {
        let read = reading(state);
        let skipped = if read.is_some() { state.scroll } else { 0 };
        paint::lines(buffer, areas.list, &read.unwrap_or_else(|| sentence::lines(state, theme)), skipped, theme);
    } else {
        bar::draw(state, theme, buffer, areas.bar);
        body(state, theme, buffer, &areas);
    }
    foot::draw(state, theme, buffer, areas.foot);
    if let Mode::Confirm(question) = &state.mode {
        dialog::draw(question, theme, buffer);
    }
}

/// Lines of the text that is read now.
pub fn reading_lines(state: &State) -> usize {
    reading(state).map_or(0, |lines| lines.len())
}

/// The text that has all of the room, if one has.
fn reading(state: &State) -> Option<Vec<Line>> {
    match &state.mode {
        Mode::Help => Some(help::lines(state)),
        Mode::Reading(number) => Some(output::lines(state, *number, usize::from(state.size.width))),
        Mode::Browse | Mode::Line(_) | Mode::Filter(_) | Mode::Confirm(_) => None,
    }
}

fn body(state: &State, theme: Theme, buffer: &mut Buffer, areas: &Areas) {
    if let Some(lines) = reading(state) {
        let room = usize::from(areas.detail.height);
        let skipped = state.scroll.min(lines.len().saturating_sub(room));
        return paint::lines(buffer, areas.detail, &lines, skipped, theme);
    }
    let shown = state.shown();
    let guide = if shown.is_empty() { guide::lines(state, theme, usize::from(areas.list.width)) } else { Vec::new() };
    if guide.is_empty() {
        list(state, &shown, theme, buffer, areas);
    } else {
        paint::lines(buffer, areas.list, &guide, 0, theme);
    }
    detail(state, theme, buffer, areas.detail);
    if !areas.log.is_empty() {
        let inside = beside(buffer, areas.log, theme);
        paint::lines(buffer, inside, &log::recent(state), 0, theme);
    }
}

fn list(state: &State, shown: &[usize], theme: Theme, buffer: &mut Buffer, areas: &Areas) {
    let on_screen = shown.iter().skip(state.list().top);
    if state.tier > Tier::Phone {
        let frame = table::Frame { titles: areas.titles, rows: areas.list, selected: state.list().at - state.list().top };
        return table::draw(buffer, frame, columns(state.screen), on_screen.map(|place| cells(state, *place, theme)), theme);
    }
    let lines = state.tier.lines_per_entry(state.size);
    for (nth, place) in (0..areas.list.height / lines).zip(on_screen) {
        let area = Rect { y: areas.list.y + nth * lines, height: lines, ..areas.list };
        let is_selected = state.list().top + usize::from(nth) == state.list().at;
        let mark = if is_selected { theme.signs.selected } else { " " };
        let mut card = card(state, *place, theme);
        card.iter_mut().enumerate().for_each(|(row, line)| line.insert(0, (format!("{} ", if row == 0 { mark } else { " " }), Tone::Text)));
        paint::lines(buffer, area, &card, 0, theme);
        if is_selected {
            paint::highlight(buffer, Rect { height: 1, ..area }, theme);
        }
    }
}

fn columns(screen: Screen) -> &'static [Column] {
    match screen {
        Screen::Fleet => &fleet::COLUMNS,
        Screen::Jobs => &jobs::COLUMNS,
        Screen::Projects => &projects::COLUMNS,
        Screen::Log => &log::COLUMNS,
    }
}

fn cells(state: &State, place: usize, theme: Theme) -> Vec<Piece> {
    match state.screen {
        Screen::Fleet => fleet::cells(state, place, theme),
        Screen::Jobs => jobs::cells(state, place, theme),
        Screen::Projects => projects::cells(state, place),
        Screen::Log => log::cells(state, place),
    }
}

fn card(state: &State, place: usize, theme: Theme) -> [Line; 2] {
    match state.screen {
        Screen::Fleet => fleet::card(state, place, theme),
        Screen::Jobs => jobs::card(state, place, theme),
        Screen::Projects => projects::card(state, place),
        Screen::Log => log::card(state, place),
    }
}

/// What is selected, beside the list or in all of the room.
fn detail(state: &State, theme: Theme, buffer: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let area = match (state.opened, state.tier) {
        (false, Tier::Drawer) => below(buffer, area, theme),
        (false, _) => beside(buffer, area, theme),
        (true, _) => area,
    };
    let width = usize::from(area.width);
    let lines = match state.screen {
        Screen::Fleet => node::lines(state, theme, width),
        Screen::Jobs => jobs::detail(state, theme, width),
        Screen::Projects => projects::detail(state, width),
        Screen::Log => log::detail(state, width),
    };
    paint::lines(buffer, area, &lines, 0, theme);
}

/// The area without a rule on its left.
fn beside(buffer: &mut Buffer, area: Rect, theme: Theme) -> Rect {
    let rule = if theme.signs.rule == "-" { "|" } else { "│" };
    for y in area.y..area.bottom() {
        buffer.set_stringn(area.x, y, rule, 1, theme.style(Tone::Dim));
    }
    Rect { x: (area.x + 2).min(area.right()), width: area.width.saturating_sub(2), ..area }
}

/// The area without a rule above it.
fn below(buffer: &mut Buffer, area: Rect, theme: Theme) -> Rect {
    let rule = theme.signs.rule.repeat(usize::from(area.width));
    buffer.set_stringn(area.x, area.y, rule, usize::from(area.width), theme.style(Tone::Dim));
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// `12 s`, `3 min`, `2 h`, `4 d`.
fn short(span: Span) -> String {
    let seconds = span.0 / 1_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests;
