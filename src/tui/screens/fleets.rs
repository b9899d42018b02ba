//! The nodes of all fleets that this device has joined, and of its own. To see more of one, or to do something to it, a person goes to its fleet.

use super::{Column, Line, Piece, fleet, paint};
use crate::report::text::timestamp;
use crate::tui::{
    actions::{self, ActionId},
    asked::Afar,
    state::State,
    theme::{Theme, Tone},
};

pub(super) const COLUMNS: [Column; 9] = [
    Column::new("HEALTH", 13, 0),
    Column::new("FLEET", 8, 1).up_to(24),
    Column::new("NAME", 10, 2).up_to(24),
    Column::new("LOAD", 5, 3).right(),
    Column::new("SPARKS", 7, 4).right(),
    Column::new("LATENCY", 7, 5).right(),
    Column::new("PROJECT", 8, 6).up_to(24),
    Column::new("LABELS", 8, 7).up_to(40),
    Column::new("VERSION", 7, 8).up_to(12),
];

fn word(afar: &Afar) -> &str {
    if !afar.answered() || afar.health == "offline" || afar.availability == "active" { &afar.health } else { &afar.availability }
}

fn status(afar: &Afar, theme: Theme) -> Piece {
    let (sign, tone) = theme.sign(word(afar));
    (format!("{sign} {}", word(afar)), tone)
}

fn load(afar: &Afar) -> String {
    if afar.linked { format!("{}%", afar.cpu_permille.saturating_add(5) / 10) } else { "-".into() }
}

pub(super) fn cells(state: &State, place: usize, theme: Theme) -> Vec<Piece> {
    let afar = &state.asked.fleets[place];
    let of_node = |text: String| if afar.answered() { text } else { String::new() };
    vec![
        status(afar, theme),
        (afar.fleet.clone(), if state.is_attached_to(afar) { Tone::Accent } else { Tone::Text }),
        (afar.name.clone(), Tone::Title),
        (of_node(load(afar)), Tone::Text),
        (of_node(format!("{}/{}", afar.sparks, afar.slots)), Tone::Text),
        (fleet::latency(afar.round_trip), Tone::Text),
        (afar.projects.join(","), Tone::Text),
        (fleet::labels(&afar.labels), Tone::Dim),
        (afar.version.clone(), Tone::Dim),
    ]
}

pub(super) fn card(state: &State, place: usize, theme: Theme) -> [Line; 2] {
    let afar = &state.asked.fleets[place];
    let (status, tone) = status(afar, theme);
    let name = super::table::cut(if afar.answered() { &afar.name } else { &afar.fleet }, 14);
    let load = if afar.answered() { format!("{:>4}", load(afar)) } else { String::new() };
    let first = vec![(format!("{status:<13} "), tone), (format!("{name:<14} "), Tone::Title), (load, Tone::Text)];
    let told = match afar.answered() {
        true => vec![afar.fleet.clone(), afar.projects.join(","), format!("{}/{} sparks", afar.sparks, afar.slots), fleet::latency(afar.round_trip)],
        false => vec![afar.reason.clone()],
    };
    let second = told.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&format!(" {} ", theme.signs.dot));
    [first, paint::plain(second, Tone::Dim)]
}

pub(super) fn detail(state: &State, theme: Theme) -> Vec<Line> {
    let Some(afar) = state.selected_afar() else { return Vec::new() };
    let (status, tone) = status(afar, theme);
    let name = if afar.answered() { &afar.name } else { &afar.fleet };
    let mut lines = vec![vec![(format!("{name} "), Tone::Title), (status, tone)], paint::field("fleet", afar.fleet.as_str())];
    if afar.answered() {
        let told = [
            ("load", load(afar)),
            ("sparks", format!("{} of {} slots", afar.sparks, afar.slots)),
            ("latency", fleet::latency(afar.round_trip)),
            ("projects", afar.projects.join(", ")),
            ("labels", fleet::labels(&afar.labels)),
            ("version", afar.version.clone()),
        ];
        lines.extend(told.into_iter().filter(|(_, value)| !value.is_empty()).map(|(field, value)| paint::field(field, value)));
    } else {
        lines.push(paint::field("because", afar.reason.as_str()));
    }
    lines.extend(state.asked.fleets_at.map(|at| paint::field("heard", timestamp(at))));
    lines.extend(state.asked.fleets_trouble.as_ref().map(|why| vec![(format!("Since then: {why}"), Tone::Warning)]));
    if let Some(key) = state.options.keymap.first(actions::row(ActionId::Attach)) {
        let way = if state.is_attached_to(afar) { "shows it in its fleet, which is this one" } else { "goes to the dashboard of its fleet" };
        lines.push(paint::plain(format!("{} {way}.", key.name()), Tone::Dim));
    }
    lines
}
