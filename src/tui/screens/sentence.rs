//! For a terminal with next to no room: one sentence, and what is wrong.

use super::{Line, bar, counted, fleet, paint};
use crate::tui::{
    state::{Feed, State},
    theme::{Theme, Tone},
};

/// Nobody scrolls through more of them in such a place.
const PROBLEMS_MAX: usize = 100;

pub(super) fn lines(state: &State, theme: Theme) -> Vec<Line> {
    let mut lines = vec![bar::feed(state, theme)];
    if !matches!(state.feed, Feed::Live | Feed::Lost { .. }) {
        lines.push(paint::plain(": command  q quit", Tone::Dim));
        return lines;
    }
    let bad = state.fleet.nodes.iter().filter(|node| fleet::word(node) != "healthy");
    lines.extend(bad.take(PROBLEMS_MAX).map(|node| {
        let (status, tone) = fleet::status(state, node, theme);
        vec![(format!("{status} "), tone), (node.name.clone(), Tone::Text)]
    }));
    let failed = state.fleet.jobs.iter().filter(|job| job.status.name() == "failed");
    lines.extend(failed.take(PROBLEMS_MAX).map(|job| vec![(format!("{} failed ", job.id), Tone::Bad), (job.reason.clone(), Tone::Text)]));
    if lines.len() == 1 {
        let text = format!("all is well: {}", counted(state.fleet.nodes.len(), "node"));
        lines.push(paint::plain(text, Tone::Good));
    }
    lines
}
