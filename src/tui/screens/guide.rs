//! What to do where there is nothing to show yet. Names only what can be done.

use super::{Line, paint};
use crate::{
    control::watch::Nearby,
    tui::{
        state::{Feed, Screen, State},
        theme::{Theme, Tone},
    },
};

pub(super) fn lines(state: &State, theme: Theme, width: usize) -> Vec<Line> {
    let text: &[(&str, Tone)] = match (&state.feed, state.screen) {
        (_, Screen::Log) => &[("Nothing was run from here yet.", Tone::Text), (": runs a command.", Tone::Dim)],
        (_, Screen::Symbols) => return found(state, width),
        (_, Screen::Audit) => return audit(state, width),
        (_, Screen::Fleets) => return fleets(state, width),
        (_, _) if !state.list().filter.is_empty() => &[("Nothing matches the filter.", Tone::Text), ("esc ends it.", Tone::Dim)],
        (Feed::Waiting, _) if state.options.place.is_some() => &[("Waiting for the first answer of its master.", Tone::Text)],
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
        (Feed::Live | Feed::Lost { .. }, Screen::Nearby) => return nearby(state, width),
        (Feed::Lost { .. }, Screen::Events) => &[("What has happened is not known: the master is out of reach.", Tone::Text)],
        (Feed::Live, Screen::Events) => &[("Nothing has happened since this master began.", Tone::Text)],
        (Feed::Live | Feed::Lost { .. }, Screen::Sparks) if state.job_detail().is_none() => &[("The sparks are being asked for.", Tone::Text)],
        (Feed::Live | Feed::Lost { .. }, Screen::Sparks) => {
            &[("The job has no sparks.", Tone::Title), ("All of it was known, or it is to be listed again.", Tone::Text)]
        }
        (Feed::Live | Feed::Lost { .. }, Screen::Fleet) if state.fleet.listens.is_none() => &[
            ("This bitacora runs one command, on this machine.", Tone::Title),
            ("2 shows its job.", Tone::Text),
            ("A fleet needs one that stays:", Tone::Text),
            ("  bitacora serve", Tone::Accent),
        ],
        (Feed::Live | Feed::Lost { .. }, Screen::Fleet) => return first_node(state, theme, width),
        (Feed::Live | Feed::Lost { .. }, Screen::Jobs) => {
            &[("No job yet.", Tone::Title), ("3 and then n analyses a tree; or : and", Tone::Text), ("  analyze PATH", Tone::Accent)]
        }
        (Feed::Live | Feed::Lost { .. }, Screen::Projects) => &[
            ("No project yet.", Tone::Title),
            ("A tree becomes one when it is analysed.", Tone::Text),
            ("n asks for its folder; or : and", Tone::Text),
            ("  analyze PATH", Tone::Accent),
        ],
    };
    indented(text.iter().map(|(text, tone)| ((*text).to_owned(), *tone)), width)
}

/// Below a list that is no answer yet to what one came for.
pub(super) fn next(state: &State, width: usize) -> Vec<Line> {
    let is_new = state.feed == Feed::Live && state.fleet.jobs_all == 0 && state.fleet.projects.is_empty();
    if state.screen != Screen::Fleet || !is_new || !state.list().filter.is_empty() {
        return Vec::new();
    }
    let text = [
        ("Nothing was analysed here yet.".to_owned(), Tone::Title),
        ("3, and n there, asks for a folder and analyses it.".to_owned(), Tone::Text),
        ("4 shows machines nearby that can help; p there pairs with one.".to_owned(), Tone::Text),
    ];
    indented(text.into_iter(), width)
}

fn first_node(state: &State, theme: Theme, width: usize) -> Vec<Line> {
    let address = state.fleet.listens.as_deref().unwrap_or_default();
    let dot = theme.signs.dot;
    let text = [
        ("No node yet.".to_owned(), Tone::Title),
        (String::new(), Tone::Text),
        ("One that shows a code is paired with under 4, nearby.".into(), Tone::Text),
        ("Or make a token for it here:".into(), Tone::Text),
        ("  bitacora node token NAME > token".into(), Tone::Accent),
        ("There, let it join with it:".into(), Tone::Text),
        ("  fleet-agent --peer HOST:PORT --join-file token".into(), Tone::Accent),
        (String::new(), Tone::Text),
        (format!("Nodes link at {address} {dot} a token is good once"), Tone::Dim),
    ];
    indented(text.into_iter(), width)
}

fn said(text: Vec<(String, Tone)>, width: usize) -> Vec<Line> {
    indented(text.into_iter(), width)
}

fn found(state: &State, width: usize) -> Vec<Line> {
    let search = state.asked.search.as_ref();
    let text = search.map(|search| search.text.as_str()).unwrap_or_default();
    said(
        match search.and_then(|search| search.found.as_ref()) {
            None => vec![(format!("Looking for {text}."), Tone::Text)],
            Some(Err(why)) => vec![(format!("It cannot be looked for: {why}"), Tone::Bad)],
            Some(Ok(found)) if found.is_empty() => {
                vec![(format!("No symbol is called {text}."), Tone::Title), ("s looks for another one.".into(), Tone::Dim)]
            }
            Some(Ok(_)) => vec![("Nothing matches the filter.".into(), Tone::Text), ("esc ends it.".into(), Tone::Dim)],
        },
        width,
    )
}

fn audit(state: &State, width: usize) -> Vec<Line> {
    said(
        match &state.asked.audit_trouble {
            Some(why) => vec![("The audit cannot be read.".into(), Tone::Title), (why.clone(), Tone::Bad)],
            None if state.asked.is_waiting() || state.asked.audit_is_due => vec![("The audit is being read.".into(), Tone::Text)],
            None if state.asked.audit.is_empty() => vec![("Nothing is in the audit yet.".into(), Tone::Text)],
            None => vec![("Nothing matches the filter.".into(), Tone::Text), ("esc ends it.".into(), Tone::Dim)],
        },
        width,
    )
}

fn fleets(state: &State, width: usize) -> Vec<Line> {
    said(
        match &state.asked.fleets_trouble {
            _ if !state.list().filter.is_empty() => vec![("Nothing matches the filter.".into(), Tone::Text), ("esc ends it.".into(), Tone::Dim)],
            _ if state.options.fleets.is_empty() => vec![
                ("This device has joined no other fleet.".into(), Tone::Title),
                ("There, make a token for it:".into(), Tone::Text),
                ("  bitacora node token NAME --operator operate > token".into(), Tone::Accent),
                ("Here, join with it:".into(), Tone::Text),
                ("  bitacora join HOST:PORT --join-file token".into(), Tone::Accent),
            ],
            Some(why) => vec![("The fleets cannot be asked.".into(), Tone::Title), (why.clone(), Tone::Bad)],
            None if state.asked.fleets_at.is_none() => vec![("All fleets are being asked.".into(), Tone::Text)],
            None => vec![("No fleet has a node yet.".into(), Tone::Title)],
        },
        width,
    )
}

fn nearby(state: &State, width: usize) -> Vec<Line> {
    said(
        match &state.watched.nearby {
            None => vec![("Listening.".into(), Tone::Text)],
            Some(Nearby::Unknown(why)) => vec![
                ("Nobody listens to who is nearby.".into(), Tone::Title),
                (why.clone(), Tone::Text),
                (": and this pairs with one by its address:".into(), Tone::Text),
                ("  node pair ADDR:PORT".into(), Tone::Accent),
            ],
            Some(Nearby::Seen(_)) => vec![
                ("No node announces itself on this network.".into(), Tone::Title),
                ("One that was started without a token does:".into(), Tone::Text),
                ("  fleet-agent".into(), Tone::Accent),
                ("It shows a code. p here, and the code, pairs with it.".into(), Tone::Text),
            ],
        },
        width,
    )
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
