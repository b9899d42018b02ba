//! What to do where there is nothing to show yet. Names only what can be done.

use super::{Line, paint};
use crate::tui::{
    state::{Feed, Screen, State},
    theme::{Theme, Tone},
};

pub(super) fn lines(state: &State, theme: Theme, width: usize) -> Vec<Line> {
    let text: &[(&str, Tone)] = match (&state.feed, state.screen) {
        (_, Screen::Log) => &[("Nothing was run from here yet.", Tone::Text), (": runs a command.", Tone::Dim)],
        (_, _) if !state.list().filter.is_empty() => &[("Nothing matches the filter.", Tone::Text), ("esc ends it.", Tone::Dim)],
        (Feed::Waiting, _) => &[("Asking the master of this data directory.", Tone::Text)],
        (Feed::NoMaster, _) => &[
            ("No bitacora serves this data directory.", Tone::Title),
            ("", Tone::Text),
            ("In another terminal, start one:", Tone::Text),
            ("  bitacora serve", Tone::Accent),
            ("The fleet appears here as soon as it is up.", Tone::Text),
            ("", Tone::Text),
            ("This machine alone needs none:", Tone::Text),
            ("  bitacora analyze PATH", Tone::Accent),
            ("", Tone::Text),
            (": runs a command, ? says what keys do, q leaves.", Tone::Dim),
        ],
        (Feed::Live | Feed::Lost { .. }, Screen::Fleet) if state.fleet.listens.is_none() => &[
            ("This bitacora runs one command, on this machine.", Tone::Title),
            ("2 shows its job.", Tone::Text),
            ("A fleet needs one that stays:", Tone::Text),
            ("  bitacora serve", Tone::Accent),
        ],
        (Feed::Live | Feed::Lost { .. }, Screen::Fleet) => return first_node(state, theme, width),
        (Feed::Live | Feed::Lost { .. }, Screen::Jobs) => {
            &[("No job yet.", Tone::Title), (": and this begins one:", Tone::Text), ("  analyze PATH", Tone::Accent)]
        }
        (Feed::Live | Feed::Lost { .. }, Screen::Projects) => &[
            ("No project yet.", Tone::Title),
            ("A tree becomes one when it is analysed:", Tone::Text),
            (": and", Tone::Text),
            ("  analyze PATH", Tone::Accent),
        ],
    };
    indented(text.iter().map(|(text, tone)| ((*text).to_owned(), *tone)), width)
}

fn first_node(state: &State, theme: Theme, width: usize) -> Vec<Line> {
    let address = state.fleet.listens.as_deref().unwrap_or_default();
    let dot = theme.signs.dot;
    let text = [
        ("No node yet.".to_owned(), Tone::Title),
        (String::new(), Tone::Text),
        ("Here, make a token for one of them:".into(), Tone::Text),
        ("  bitacora node token NAME > token".into(), Tone::Accent),
        ("There, let it join with it:".into(), Tone::Text),
        ("  fleet-agent --peer HOST:PORT --join-file token".into(), Tone::Accent),
        (String::new(), Tone::Text),
        (format!("Nodes link at {address} {dot} a token is good once"), Tone::Dim),
    ];
    indented(text.into_iter(), width)
}

fn indented(text: impl Iterator<Item = (String, Tone)>, width: usize) -> Vec<Line> {
    let room = width.saturating_sub(2);
    let wrapped = |(text, tone): (String, Tone)| {
        // A command line keeps its indent, and is one line if that is possible.
        let lines = if text.starts_with("  ") { vec![text] } else { paint::wrapped(&text, room) };
        lines.into_iter().map(move |text| paint::plain(format!(" {text}"), tone)).collect::<Vec<_>>()
    };
    std::iter::once(Line::new()).chain(text.flat_map(wrapped)).collect()
}
