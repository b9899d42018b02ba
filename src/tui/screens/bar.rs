//! The first row: which screen this is, and how the fleet is.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{counted, paint, short};
use crate::tui::{
    layout::Tier,
    state::{Feed, Mode, Screen, State},
    theme::{Theme, Tone},
    widgets::paint::Line,
};

pub(super) fn draw(state: &State, theme: Theme, buffer: &mut Buffer, area: Rect) {
    let taken = paint::line_at_end(buffer, area, &feed(state, theme), theme);
    let room = Rect { width: area.width - taken, ..area };
    let left = if state.tier > Tier::Phone { tabs(state) } else { trail(state, theme) };
    paint::line(buffer, room, &left, theme);
}

/// Is what is shown true now? With the fewest words that say it.
pub(super) fn feed(state: &State, theme: Theme) -> Line {
    let with = |word: &str, rest: String| {
        let (sign, tone) = theme.sign(word);
        vec![(format!("{sign} {word}"), tone), (format!("{rest} "), Tone::Dim)]
    };
    match &state.feed {
        Feed::Waiting => with("connecting", String::new()),
        Feed::NoMaster => with("no master", String::new()),
        Feed::Lost { since, .. } => with("stale", format!(" {}", short(state.now - *since))),
        Feed::Live => {
            let running = state.fleet.jobs.iter().filter(|job| !job.status.is_over()).count();
            let dot = theme.signs.dot;
            with("live", format!(" {dot} {} {dot} {}", counted(state.fleet.nodes.len(), "node"), counted(running, "open job")))
        }
    }
}

fn tabs(state: &State) -> Line {
    let mut line = Line::new();
    for (number, screen) in (1..).zip(Screen::ALL) {
        let is_here = screen == state.screen;
        line.push((format!(" {number} "), Tone::Dim));
        line.push((format!("{} ", screen.name()), if is_here { Tone::Selected } else { Tone::Text }));
    }
    line.extend(filter(state));
    line
}

/// Where the person is, one thing inside the other.
fn trail(state: &State, theme: Theme) -> Line {
    let mut line = vec![(format!(" {}", state.screen.name()), Tone::Title)];
    let inside = match (&state.mode, state.opened) {
        (Mode::Help, _) => Some("help".to_owned()),
        (Mode::Reading(_), _) => Some("output".to_owned()),
        (_, true) => state.list().selected.as_ref().map(|id| state.selected_node().filter(|node| node.id == *id).map_or(id.clone(), |node| node.name.clone())),
        (_, false) => None,
    };
    line.extend(inside.map(|inside| (format!(" {} {inside}", theme.signs.step), Tone::Text)));
    line.extend(filter(state));
    line
}

fn filter(state: &State) -> Option<(String, Tone)> {
    let filter = &state.list().filter;
    (!filter.is_empty()).then(|| (format!(" /{}", filter.text()), Tone::Accent))
}
