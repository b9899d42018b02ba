//! What is asked before something is done that cannot simply be taken back. Nothing but the word asked for is a yes.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Line, foot, paint};
use crate::tui::{
    layout,
    state::Question,
    theme::{Theme, Tone},
    widgets::paint::wrapped,
    words,
};

pub(super) fn draw(question: &Question, theme: Theme, buffer: &mut Buffer) {
    let all = buffer.area;
    let lines = lines(question, all);
    let (_, area) = layout::cut_below(all, u16::try_from(lines.len() + 1).unwrap_or(u16::MAX));
    paint::clear(buffer, area);
    buffer.set_stringn(area.x, area.y, theme.signs.rule.repeat(usize::from(area.width)), usize::from(area.width), theme.style(Tone::Warning));
    // The answer is what must be seen: where there is no room, the beginning goes.
    let (_, inside) = layout::cut_below(area, area.height.saturating_sub(1));
    paint::lines(buffer, inside, &lines, lines.len().saturating_sub(usize::from(inside.height)), theme);
}

fn lines(question: &Question, all: Rect) -> Vec<Line> {
    let width = usize::from(all.width).saturating_sub(2);
    let mut lines = vec![paint::plain(format!(" {}", question.title), Tone::Title)];
    lines.extend(wrapped(&question.plan, width).into_iter().map(|text| paint::plain(format!(" {text}"), Tone::Text)));
    let command = format!("bitacora {}", words::join(&question.words));
    lines.extend(wrapped(&command, width).into_iter().map(|text| paint::plain(format!(" {text}"), Tone::Dim)));
    match &question.expected {
        None => lines.push(vec![(" ".into(), Tone::Text), ("[ cancel ]".into(), Tone::Selected), ("  y does it".into(), Tone::Accent)]),
        Some(expected) => {
            lines.push(paint::plain(format!(" type {expected} and enter, or esc"), Tone::Accent));
            lines.push(foot::typed(" > ", &question.typed, all));
        }
    }
    lines
}
