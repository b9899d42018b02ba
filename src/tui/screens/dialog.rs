//! What is asked before something is done that cannot simply be taken back, or that wants a word. Nothing but the word asked for is a yes.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{Line, Touched, foot, paint, rule};
use crate::tui::{
    actions::{self, Does},
    editor::Editor,
    layout,
    state::{Prompt, Question},
    theme::{Theme, Tone},
    widgets::paint::wrapped,
    words,
};

const CANCEL: &str = " [ cancel ] ";
/// Where in a line what is typed will stand.
const PLACE: &str = "TYPED";
const AGREE: &str = " y does it ";
/// Commands that are named in a question; the rest is counted.
const COMMANDS_MAX: usize = 3;

pub(super) fn question(question: &Question, theme: Theme, buffer: &mut Buffer) {
    let lines = lines(question, buffer.area);
    show(&lines, theme, buffer);
}

pub(super) fn prompt(prompt: &Prompt, theme: Theme, buffer: &mut Buffer) {
    show(&prompt_lines(prompt, buffer.area), theme, buffer);
}

fn prompt_lines(prompt: &Prompt, all: Rect) -> Vec<Line> {
    let row = actions::row(prompt.action);
    let whom = match prompt.subjects.as_slice() {
        [one] => one.name(),
        several => several.len().to_string(),
    };
    let mut lines = vec![paint::plain(format!(" {} {whom}", row.name), Tone::Title)];
    // A secret is no part of the line.
    if let (Does::Command(command), Some(subject)) = (&row.does, prompt.subjects.first())
        && let Some(line) = actions::words(command.line, subject, PLACE)
    {
        lines.push(paint::plain(format!(" bitacora {}", words::join(&line).replace(PLACE, prompt.typed.text().trim())), Tone::Dim));
    }
    lines.push(paint::plain(format!(" {}, then enter; esc leaves it", prompt.title), Tone::Accent));
    lines.push(foot::typed(" > ", &prompt.typed, all));
    lines
}

/// At the bottom, over all of the width.
fn show(lines: &[Line], theme: Theme, buffer: &mut Buffer) {
    let folded = folded(lines, buffer.area);
    let area = area_of(&folded, buffer.area);
    paint::clear(buffer, area);
    rule(buffer, area, theme, Tone::Warning);
    // The answer is what must be seen: where there is no room, the beginning goes.
    let (_, inside) = layout::cut_below(area, area.height.saturating_sub(1));
    paint::lines(buffer, inside, &folded, folded.len().saturating_sub(usize::from(inside.height)), theme);
}

/// What is typed, in the last line, keeps its end in sight by itself.
fn folded(lines: &[Line], all: Rect) -> Vec<Line> {
    let (width, last) = (usize::from(all.width), lines.len().saturating_sub(1));
    lines[..last].iter().flat_map(|line| paint::folded(line, width)).chain(lines.last().cloned()).collect()
}

/// With the rule above it.
fn area_of(folded: &[Line], all: Rect) -> Rect {
    layout::cut_below(all, u16::try_from(folded.len() + 1).unwrap_or(u16::MAX)).1
}

fn lines(question: &Question, all: Rect) -> Vec<Line> {
    let width = usize::from(all.width).saturating_sub(2);
    let mut lines = vec![paint::plain(format!(" {}", question.title), Tone::Title)];
    lines.extend(wrapped(&question.plan, width).into_iter().map(|text| paint::plain(format!(" {text}"), Tone::Text)));
    for deed in question.deeds.iter().take(COMMANDS_MAX) {
        let command = format!("bitacora {}", words::join(&deed.words));
        lines.extend(wrapped(&command, width).into_iter().map(|text| paint::plain(format!(" {text}"), Tone::Dim)));
    }
    if question.deeds.len() > COMMANDS_MAX {
        lines.push(paint::plain(format!(" and {} more", question.deeds.len() - COMMANDS_MAX), Tone::Dim));
    }
    match &question.expected {
        None => lines.push(vec![(CANCEL.into(), Tone::Selected), (AGREE.into(), Tone::Accent)]),
        Some(expected) => {
            lines.push(paint::plain(format!(" type {expected} and enter, or esc"), Tone::Accent));
            lines.push(typed(&question.typed, all));
        }
    }
    lines
}

fn typed(editor: &Editor, all: Rect) -> Line {
    foot::typed(" > ", editor, all)
}

/// Whoever touches what is behind it wants to be back there.
fn behind(lines: &[Line], all: Rect, at: Position) -> Option<Touched> {
    (at.y < area_of(&folded(lines, all), all).y).then_some(Touched::Dismiss)
}

pub(super) fn prompt_touched(prompt: &Prompt, all: Rect, at: Position) -> Option<Touched> {
    behind(&prompt_lines(prompt, all), all, at)
}

/// The answers stand in the last row.
pub(super) fn touched(question: &Question, all: Rect, at: Position) -> Option<Touched> {
    let is_answer = at.y + 1 == all.bottom() && question.expected.is_none();
    let (cancel, both) = (CANCEL.len(), CANCEL.len() + AGREE.len());
    match usize::from(at.x) {
        x if is_answer && x < cancel => Some(Touched::Dismiss),
        x if is_answer && x < both => Some(Touched::Agree),
        _ => behind(&lines(question, all), all, at),
    }
}
