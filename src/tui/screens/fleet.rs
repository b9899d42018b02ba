//! The nodes, with their health and load.

use bitacora_core::{time::Span, wire::node::Labels};

use super::{Column, Line, Piece};
use crate::{
    control::NodeState,
    report::text::bytes,
    tui::{
        state::{Feed, State},
        theme::{Theme, Tone},
        widgets::spark,
    },
};

pub(super) const COLUMNS: [Column; 12] = [
    Column::new("HEALTH", 11, 0),
    Column::new("NAME", 10, 1).up_to(24),
    Column::new("LOAD", 5, 2).right(),
    Column::new("SPARKS", 7, 3).right(),
    Column::new("LAST MINUTE", 12, 4),
    Column::new("LATENCY", 7, 5).right(),
    Column::new("PROJECT", 8, 6).up_to(24),
    Column::new("MEMORY", 8, 7).right(),
    Column::new("STATE", 10, 8),
    Column::new("LABELS", 8, 9).up_to(40),
    Column::new("VERSION", 7, 10).up_to(12),
    Column::new("ADDRESS", 15, 11).up_to(47),
];

/// Cells of a sparkline on a card.
const CARD_SPARK: usize = 8;

/// The word for a node's state that matters most, and its health while it is given work.
pub(super) fn word(node: &NodeState) -> &str {
    if node.health == "offline" || node.availability == "active" { &node.health } else { &node.availability }
}

/// What was heard last is no certainty while nothing is heard.
pub(super) fn status(state: &State, node: &NodeState, theme: Theme) -> Piece {
    let word = word(node);
    let (sign, tone) = theme.sign(if matches!(state.feed, Feed::Lost { .. }) { "stale" } else { word });
    (format!("{sign} {word}"), tone)
}

/// Nothing is heard of it, though there may still be a link: what it said last is not what it is.
pub(super) fn is_silent(node: &NodeState) -> bool {
    !node.linked || ["unhealthy", "offline"].contains(&node.health.as_str())
}

pub(super) fn load(node: &NodeState) -> String {
    if node.memory_bytes == 0 || is_silent(node) { "-".into() } else { format!("{}%", node.cpu_permille.saturating_add(5) / 10) }
}

pub(super) fn history(state: &State, node: &NodeState, cells: usize, theme: Theme) -> String {
    let (second, Some(history)) = (state.now.0 / 1_000_000, state.history.get(&node.id)) else { return " ".repeat(cells) };
    // Of a node that is heard a value holds until there is another one.
    let silence = if is_silent(node) { history.age(second) } else { 0 };
    let blank = usize::try_from(silence).unwrap_or(usize::MAX).min(cells);
    spark::line(history.newest(cells - blank, second - silence), cells - blank, theme.signs) + &" ".repeat(blank)
}

/// There and back, where that is known.
pub(super) fn latency(round_trip: Option<Span>) -> String {
    round_trip.map_or_else(String::new, |span| if span.0 == 0 { "<1 ms".into() } else { format!("{} ms", span.0 / 1000) })
}

pub(super) fn labels(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| if value.is_empty() { key.clone() } else { format!("{key}={value}") }).collect::<Vec<_>>().join(",")
}

pub(super) fn cells(state: &State, place: usize, theme: Theme) -> Vec<Piece> {
    let node = &state.fleet.nodes[place];
    let used = node.memory_bytes.saturating_sub(node.memory_available_bytes);
    vec![
        status(state, node, theme),
        (node.name.clone(), Tone::Title),
        (load(node), Tone::Text),
        (format!("{}/{}", node.sparks, node.slots), Tone::Text),
        (history(state, node, 12, theme), Tone::Accent),
        (latency(node.round_trip), Tone::Text),
        (node.projects.join(","), Tone::Text),
        (if node.memory_bytes == 0 || is_silent(node) { "-".into() } else { bytes(used) }, Tone::Text),
        (node.availability.clone(), Tone::Dim),
        (labels(&node.labels), Tone::Dim),
        (node.version.clone(), Tone::Dim),
        (node.address.clone().unwrap_or_default(), Tone::Dim),
    ]
}

pub(super) fn card(state: &State, place: usize, theme: Theme) -> [Line; 2] {
    let node = &state.fleet.nodes[place];
    let (status, tone) = status(state, node, theme);
    let spark = history(state, node, CARD_SPARK, theme);
    let name = super::table::cut(&node.name, 14);
    let first =
        vec![(format!("{status:<11} "), tone), (format!("{name:<14} "), Tone::Title), (format!("{:>4} ", load(node)), Tone::Text), (spark, Tone::Accent)];
    let dot = theme.signs.dot;
    // Of a node that is given work that goes without saying.
    let availability = if node.availability == "active" { String::new() } else { node.availability.clone() };
    let told = [node.projects.join(","), format!("{}/{} sparks", node.sparks, node.slots), latency(node.round_trip), availability, labels(&node.labels)];
    let second = told.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&format!(" {dot} "));
    [first, super::paint::plain(second, Tone::Dim)]
}
