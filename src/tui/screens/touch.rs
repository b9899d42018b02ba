//! What lies under a finger or a mouse: by the same places that were drawn.

use ratatui::layout::{Position, Rect};

use super::{bar, dialog, foot, help, palette};
use crate::tui::{
    actions::ActionId,
    layout::Tier,
    state::{Mode, State},
};

/// Something that can be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Of those shown, by its place among them.
    Entry(usize),
    Action(ActionId),
    /// One that help tells of: it is for where the person was before.
    Told(ActionId),
    Agree,
    Dismiss,
}

pub fn touched(state: &State, at: Position) -> Option<Touched> {
    let (areas, all) = (state.areas(), Rect::from((Position::ORIGIN, state.size)));
    match &state.mode {
        Mode::Confirm(question) => return dialog::touched(question, all, at),
        Mode::Prompt(prompt) => return dialog::prompt_touched(prompt, all, at),
        Mode::Palette(palette) => return palette::touched(state, palette, at),
        Mode::Line(_) | Mode::Filter(_) => return (!areas.foot.contains(at)).then_some(Touched::Dismiss),
        Mode::Browse | Mode::Help | Mode::Reading(_) => {}
    }
    if areas.foot.contains(at) {
        return foot::touched(state, areas.foot, at);
    }
    if areas.bar.contains(at) {
        return bar::touched(state, areas.bar, at).map(Touched::Action);
    }
    if state.mode == Mode::Help {
        let area = if state.tier == Tier::Sentence { areas.list } else { areas.detail };
        let (lines, room) = super::reading(state);
        let skipped = state.scroll.min(lines.saturating_sub(room));
        let line = area.contains(at).then(|| skipped + usize::from(at.y - area.y))?;
        return help::touched(state, line).map(Touched::Told);
    }
    if state.tier > Tier::Sentence && areas.list.contains(at) {
        let nth = (at.y - areas.list.y) / state.tier.lines_per_entry(state.size);
        return Some(state.list().top + usize::from(nth)).filter(|entry| *entry < state.shown.len()).map(Touched::Entry);
    }
    // The pane of what is selected leads to all of it.
    (areas.detail.contains(at) && !areas.list.is_empty()).then_some(Touched::Action(ActionId::Open))
}
