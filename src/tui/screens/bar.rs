//! The first row: which screen this is, and how the fleet is.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{counted, paint, short};
use crate::report::text::grouped;
use crate::tui::{
    actions::ActionId,
    layout::Tier,
    state::{Feed, Mode, Screen, State},
    theme::{Theme, Tone},
    widgets::paint::Line,
};

pub(super) fn draw(state: &State, theme: Theme, buffer: &mut Buffer, area: Rect) {
    // Whether it is true comes first: that has its place, and the figures what is left.
    let (full, word) = (feed(state, theme), word(state, theme));
    let room = area.width.saturating_sub(cells(&word) + 1);
    let left = left(state, theme, room);
    let said = if cells(&left) + 1 + cells(&full) <= area.width { full } else { word };
    let taken = paint::line_at_end(buffer, area, &said, theme);
    paint::line(buffer, Rect { width: area.width.saturating_sub(taken + 1), ..area }, &left, theme);
}

/// The same without figures.
fn word(state: &State, theme: Theme) -> Line {
    let mut line = feed(state, theme);
    if state.feed == Feed::Live {
        line.pop();
        line.push((" ".into(), Tone::Text));
    }
    line
}

fn cells(line: &Line) -> u16 {
    u16::try_from(paint::width(line)).unwrap_or(u16::MAX)
}

fn left(state: &State, theme: Theme, room: u16) -> Line {
    let mut line: Line = if state.tier == Tier::Phone { trail(state, theme) } else { tabs(state, theme, room).into_iter().flat_map(|(_, tab)| tab).collect() };
    line.extend(rest(state, theme));
    line
}

/// What is inside of the tab, and what narrows it.
fn rest(state: &State, theme: Theme) -> Line {
    let within = if state.tier == Tier::Phone { None } else { inside(state, theme) };
    within.into_iter().chain(filter(state)).collect()
}

/// Is what is shown true now? With the fewest words that say it.
pub(super) fn feed(state: &State, theme: Theme) -> Line {
    let with = |word: &str, rest: String| {
        let (sign, tone) = theme.sign(word);
        vec![(format!("{sign} {word}"), tone), (format!("{rest} "), Tone::Dim)]
    };
    let mut line = match &state.feed {
        Feed::Waiting => with("connecting", String::new()),
        Feed::NoMaster => with("no master", String::new()),
        Feed::Lost { since, .. } => with("stale", format!(" {}", short(state.now - *since))),
        Feed::Live => {
            let running = state.fleet.jobs.iter().filter(|job| !job.status.is_over()).count();
            let dot = theme.signs.dot;
            with("live", format!(" {dot} {} {dot} {}", counted(state.fleet.nodes.len(), "node"), counted(running, "open job")))
        }
    };
    if state.options.read_only {
        line.insert(1, (" read-only".into(), Tone::Warning));
    }
    if let Some(place) = &state.options.place {
        line.insert(0, (format!("{place} "), Tone::Warning));
    }
    line
}

/// The digit and the name of each screen; where there is no room, of the present one alone.
fn tabs(state: &State, theme: Theme, room: u16) -> Vec<(Screen, Line)> {
    let tab = |named: bool, (number, screen): (usize, Screen)| {
        let is_here = screen == state.screen.tab();
        let name = if named || is_here { format!(" {}", screen.name()) } else { String::new() };
        (screen, vec![(format!(" {number}{name} "), if is_here { Tone::Selected } else { Tone::Text })])
    };
    let numbered = || (1..).zip(state.tabs());
    let all: Vec<(Screen, Line)> = numbered().map(|at| tab(true, at)).collect();
    let needed: u16 = all.iter().map(|(_, line)| cells(line)).sum();
    if needed + cells(&rest(state, theme)) <= room { all } else { numbered().map(|at| tab(false, at)).collect() }
}

/// The list inside of the tab.
fn inside(state: &State, theme: Theme) -> Option<(String, Tone)> {
    let step = theme.signs.step;
    match state.screen {
        // The older ones are where they were, and listed by a command.
        Screen::Jobs if state.fleet.jobs_all > state.fleet.jobs.len() as u64 => {
            Some((format!(" the latest {} of {}", state.fleet.jobs.len(), grouped(state.fleet.jobs_all)), Tone::Dim))
        }
        Screen::Sparks => Some((format!(" {step} sparks of {}", state.selected_job().map(|job| job.id.to_string()).unwrap_or_default()), Tone::Text)),
        Screen::Symbols => Some((format!(" {step} {}", state.asked.search.as_ref().map(|search| search.text.clone()).unwrap_or_default()), Tone::Text)),
        _ => None,
    }
}

/// Where the person is, one thing inside the other.
fn trail(state: &State, theme: Theme) -> Line {
    let mut line = vec![(format!(" {}", state.screen.tab().name()), Tone::Title)];
    line.extend(inside(state, theme));
    let within = match (&state.mode, state.opened) {
        (Mode::Help, _) => Some("help".to_owned()),
        (Mode::Reading(_), _) => Some("output".to_owned()),
        (_, true) => Some(state.subject().name()),
        (_, false) => None,
    };
    line.extend(within.map(|within| (format!(" {} {within}", theme.signs.step), Tone::Text)));
    line
}

fn filter(state: &State) -> Vec<(String, Tone)> {
    let list = state.list();
    let filter = (!list.filter.is_empty()).then(|| (format!(" /{}", list.filter.text()), Tone::Accent));
    let marked = (!list.marked.is_empty()).then(|| (format!(" {} marked", list.marked.len()), Tone::Accent));
    filter.into_iter().chain(marked).collect()
}

/// A tab leads to its screen; a trail leads back.
pub(super) fn touched(state: &State, area: Rect, at: Position) -> Option<ActionId> {
    if state.tier == Tier::Phone {
        let is_inside = state.opened || state.mode != Mode::Browse || state.screen != state.screen.tab();
        return Some(if is_inside { ActionId::Back } else { ActionId::NextScreen });
    }
    let (mut x, theme) = (area.x, Theme::PLAINEST);
    let room = area.width.saturating_sub(cells(&word(state, theme)) + 1);
    for (screen, line) in tabs(state, theme, room) {
        x += cells(&line);
        if at.x < x {
            return Some(action_of(screen));
        }
    }
    None
}

const fn action_of(screen: Screen) -> ActionId {
    match screen.tab() {
        Screen::Fleet => ActionId::Fleet,
        Screen::Jobs | Screen::Sparks => ActionId::Jobs,
        Screen::Projects | Screen::Symbols => ActionId::Projects,
        Screen::Nearby => ActionId::Nearby,
        Screen::Events => ActionId::Events,
        Screen::Audit => ActionId::Audit,
        Screen::Log => ActionId::Log,
        Screen::Fleets => ActionId::Fleets,
    }
}
