//! The nodes that announce themselves on the local network, whosever they are. A name there is a hint and no trust: that is what the code is for.

use super::{Column, Line, Piece, paint};
use crate::{
    control::NodeSeen,
    tui::{
        state::State,
        theme::{Theme, Tone},
    },
};

pub(super) const COLUMNS: [Column; 5] = [
    Column::new("STATE", 10, 0),
    Column::new("NAME", 14, 1).up_to(30),
    Column::new("KEY", 16, 3).up_to(24),
    Column::new("PROTOCOL", 8, 4),
    Column::new("ADDRESSES", 20, 2).up_to(60),
];

fn status(seen: &NodeSeen, theme: Theme) -> Piece {
    let word = if seen.paired { "paired" } else { "unpaired" };
    let (sign, tone) = theme.sign(word);
    (format!("{sign} {word}"), if seen.paired { tone } else { Tone::Accent })
}

/// A paired node waits on no port.
fn addresses(seen: &NodeSeen) -> String {
    seen.addresses.iter().map(|address| address.strip_suffix(":0").unwrap_or(address)).collect::<Vec<_>>().join(" ")
}

pub(super) fn cells(state: &State, place: usize, theme: Theme) -> Vec<Piece> {
    let seen = &state.nearby()[place];
    vec![
        status(seen, theme),
        (seen.name.clone(), Tone::Title),
        (seen.key.clone(), Tone::Dim),
        (seen.protocol.clone(), Tone::Dim),
        (addresses(seen), Tone::Text),
    ]
}

pub(super) fn card(state: &State, place: usize, theme: Theme) -> [Line; 2] {
    let seen = &state.nearby()[place];
    let (status, tone) = status(seen, theme);
    [vec![(format!("{status:<11} "), tone), (seen.name.clone(), Tone::Title)], paint::plain(addresses(seen), Tone::Dim)]
}

pub(super) fn detail(state: &State, theme: Theme) -> Vec<Line> {
    let Some(seen) = state.selected_seen() else { return Vec::new() };
    let (status, tone) = status(seen, theme);
    let mut lines = vec![vec![(format!("{} ", seen.name), Tone::Title), (status, tone)], paint::field("key", seen.key.as_str())];
    lines.push(paint::field("protocol", seen.protocol.as_str()));
    lines.push(paint::field("at", addresses(seen)));
    let advice = if seen.paired {
        "It belongs to a fleet."
    } else {
        "It shows a code, in its log and in its file pairing-code: p, then the code, takes it into the fleet."
    };
    lines.push(paint::plain(advice, Tone::Text));
    lines
}
