//! The screens: functions of the state to cells, one file each. They change nothing and ask nobody.

mod audit;
mod bar;
mod dialog;
mod events;
mod fleet;
mod fleets;
mod foot;
mod guide;
mod help;
mod jobs;
mod log;
mod nearby;
mod node;
mod output;
mod palette;
mod projects;
mod sentence;
mod sparks;
mod symbols;
mod touch;

use bitacora_core::time::Span;
use ratatui::{buffer::Buffer, layout::Rect};

pub use self::touch::{Touched, touched};
use super::{
    layout::{Areas, Tier, cut_above},
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
        let read = front(state, theme, usize::from(areas.list.width));
        let skipped = if read.is_some() { state.scroll } else { 0 };
        paint::lines(buffer, areas.list, &read.unwrap_or_else(|| sentence::lines(state, theme)), skipped, theme);
    } else {
        bar::draw(state, theme, buffer, areas.bar);
        body(state, theme, buffer, &areas);
    }
    foot::draw(state, theme, buffer, areas.foot);
    match &state.mode {
        Mode::Confirm(question) => dialog::question(question, theme, buffer),
        Mode::Prompt(prompt) => dialog::prompt(prompt, theme, buffer),
        Mode::Palette(palette) => palette::draw(state, palette, theme, buffer),
        Mode::Browse | Mode::Help | Mode::Reading(_) | Mode::Line(_) | Mode::Filter(_) => {}
    }
}

/// Lines of the text that has all of the room, and how many of them are shown at once.
pub fn reading(state: &State) -> (usize, usize) {
    let areas = state.areas();
    let area = if state.tier == Tier::Sentence { areas.list } else { areas.detail };
    // Which theme it is makes no difference to the number of lines.
    let lines = front(state, Theme::PLAINEST, usize::from(area.width));
    (lines.map_or(0, |lines| lines.len()), usize::from(area.height).max(1))
}

/// The text that has all of the room, if one has: what is read, or what was opened.
fn front(state: &State, theme: Theme, width: usize) -> Option<Vec<Line>> {
    match &state.mode {
        Mode::Help => Some(help::lines(state)),
        Mode::Reading(number) => Some(output::lines(state, *number, width)),
        _ if state.opened && !state.shown.is_empty() => Some(details(state, theme, width)),
        _ => None,
    }
}

fn body(state: &State, theme: Theme, buffer: &mut Buffer, areas: &Areas) {
    if let Some(lines) = front(state, theme, usize::from(areas.detail.width)) {
        let room = usize::from(areas.detail.height);
        let skipped = state.scroll.min(lines.len().saturating_sub(room));
        let way_on = if output::is_left_behind(state) { ", G follows" } else { "" };
        return scrolled(buffer, areas.detail, (&lines, skipped), way_on, theme);
    }
    let guide = if state.shown.is_empty() { guide::lines(state, theme, usize::from(areas.list.width)) } else { Vec::new() };
    if guide.is_empty() {
        list(state, theme, buffer, areas);
        let taken = state.tier.lines_per_entry(state.size) * state.shown.len().min(usize::from(areas.list.height)) as u16;
        let (_, room) = cut_above(areas.list, taken);
        paint::lines(buffer, room, &guide::next(state, usize::from(room.width)), 0, theme);
    } else {
        paint::lines(buffer, areas.list, &guide, 0, theme);
    }
    if !areas.detail.is_empty() {
        let inside = if state.tier == Tier::Drawer { below(buffer, areas.detail, theme) } else { beside(buffer, areas.detail, theme) };
        paint::lines(buffer, inside, &details(state, theme, usize::from(inside.width)), 0, theme);
    }
    if !areas.log.is_empty() {
        let inside = beside(buffer, areas.log, theme);
        paint::lines(buffer, inside, &events::recent(state, usize::from(inside.width)), 0, theme);
    }
}

/// A text of which not all fits says so at its end, and how to get there.
fn scrolled(buffer: &mut Buffer, area: Rect, (lines, skipped): (&[Line], usize), way_on: &str, theme: Theme) {
    paint::lines(buffer, area, lines, skipped, theme);
    let hidden = lines.len().saturating_sub(skipped + usize::from(area.height));
    if hidden > 0 && area.height > 1 {
        let last = Rect { y: area.bottom() - 1, height: 1, ..area };
        paint::line_at_end(buffer, last, &paint::plain(format!(" {hidden} more{way_on} "), Tone::Accent), theme);
    }
}

fn list(state: &State, theme: Theme, buffer: &mut Buffer, areas: &Areas) {
    let on_screen = state.shown.iter().skip(state.list().top);
    if state.tier > Tier::Phone {
        let frame = table::Frame { titles: areas.titles, rows: areas.list, selected: state.list().at.saturating_sub(state.list().top) };
        let (all, wanted) = (columns(state.screen), &state.options.columns[state.screen as usize]);
        let columns = chosen(wanted, all.to_vec());
        let rows = on_screen.map(|place| (is_marked(state, *place), chosen(wanted, cells(state, *place, theme))));
        return table::draw(buffer, frame, &columns, rows, theme);
    }
    let lines = state.tier.lines_per_entry(state.size);
    for (nth, place) in (0..areas.list.height / lines).zip(on_screen) {
        let area = Rect { y: areas.list.y + nth * lines, height: lines, ..areas.list };
        let is_selected = state.list().top + usize::from(nth) == state.list().at;
        let mark = theme.mark(is_selected, is_marked(state, *place));
        let mut card = card(state, *place, theme);
        card.iter_mut().enumerate().for_each(|(row, line)| line.insert(0, (if row == 0 { mark.clone() } else { "  ".into() }, Tone::Accent)));
        paint::lines(buffer, area, &card, 0, theme);
        if is_selected {
            paint::highlight(buffer, Rect { height: 1, ..area }, theme);
        }
    }
}

fn is_marked(state: &State, place: usize) -> bool {
    let marked = &state.list().marked;
    !marked.is_empty() && marked.contains(&state.key_of(place))
}

/// Those that are wanted, in that order; all where nobody wants others.
fn chosen<Part: Clone>(wanted: &[usize], all: Vec<Part>) -> Vec<Part> {
    if wanted.is_empty() { all } else { wanted.iter().map(|place| all[*place].clone()).collect() }
}

/// What the columns of a screen's table are called where they are chosen.
pub fn column_names(screen: Screen) -> Vec<String> {
    columns(screen).iter().map(|column| column.title.to_lowercase().trim_end_matches('.').replace(' ', "-")).collect()
}

fn columns(screen: Screen) -> &'static [Column] {
    match screen {
        Screen::Fleet => &fleet::COLUMNS,
        Screen::Jobs => &jobs::COLUMNS,
        Screen::Projects => &projects::COLUMNS,
        Screen::Nearby => &nearby::COLUMNS,
        Screen::Events => &events::COLUMNS,
        Screen::Audit => &audit::COLUMNS,
        Screen::Log => &log::COLUMNS,
        Screen::Fleets => &fleets::COLUMNS,
        Screen::Sparks => &sparks::COLUMNS,
        Screen::Symbols => &symbols::COLUMNS,
    }
}

fn cells(state: &State, place: usize, theme: Theme) -> Vec<Piece> {
    match state.screen {
        Screen::Fleet => fleet::cells(state, place, theme),
        Screen::Jobs => jobs::cells(state, place, theme),
        Screen::Projects => projects::cells(state, place),
        Screen::Nearby => nearby::cells(state, place, theme),
        Screen::Events => events::cells(state, place),
        Screen::Audit => audit::cells(state, place),
        Screen::Log => log::cells(state, place),
        Screen::Fleets => fleets::cells(state, place, theme),
        Screen::Sparks => sparks::cells(state, place, theme),
        Screen::Symbols => symbols::cells(state, place),
    }
}

fn card(state: &State, place: usize, theme: Theme) -> [Line; 2] {
    match state.screen {
        Screen::Fleet => fleet::card(state, place, theme),
        Screen::Jobs => jobs::card(state, place, theme),
        Screen::Projects => projects::card(state, place),
        Screen::Nearby => nearby::card(state, place, theme),
        Screen::Events => events::card(state, place),
        Screen::Audit => audit::card(state, place),
        Screen::Log => log::card(state, place),
        Screen::Fleets => fleets::card(state, place, theme),
        Screen::Sparks => sparks::card(state, place, theme),
        Screen::Symbols => symbols::card(state, place),
    }
}

/// What is selected, in full; no line is longer than there is room.
fn details(state: &State, theme: Theme, width: usize) -> Vec<Line> {
    let lines = match state.screen {
        Screen::Fleet => node::lines(state, theme, width),
        Screen::Jobs => jobs::detail(state, theme),
        Screen::Projects => projects::detail(state, theme),
        Screen::Nearby => nearby::detail(state, theme),
        Screen::Events => events::detail(state, theme),
        Screen::Audit => audit::detail(state),
        Screen::Log => log::detail(state, width),
        Screen::Fleets => fleets::detail(state, theme),
        Screen::Sparks => sparks::detail(state, theme),
        Screen::Symbols => symbols::detail(state),
    };
    lines.iter().flat_map(|line| paint::folded(line, width)).collect()
}

/// The area without a rule on its left, which stands apart from what is left of it.
fn beside(buffer: &mut Buffer, area: Rect, theme: Theme) -> Rect {
    const MARGIN: u16 = 3;
    if area.width <= MARGIN {
        return Rect { width: 0, ..area };
    }
    let rule = if theme.signs.rule == "-" { "|" } else { "│" };
    for y in area.y..area.bottom() {
        buffer.set_stringn(area.x + 1, y, rule, 1, theme.style(Tone::Dim));
    }
    Rect { x: area.x + MARGIN, width: area.width - MARGIN, ..area }
}

/// The area without a rule above it.
fn below(buffer: &mut Buffer, area: Rect, theme: Theme) -> Rect {
    rule(buffer, area, theme, Tone::Dim);
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// Along the top of an area.
fn rule(buffer: &mut Buffer, area: Rect, theme: Theme, tone: Tone) {
    let width = usize::from(area.width);
    paint::line(buffer, area, &paint::plain(theme.signs.rule.repeat(width), tone), theme);
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
