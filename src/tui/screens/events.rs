//! What has happened, and how the fleet was at the selected moment: the timeline is walked through entry by entry, or played.

use super::{Column, Line, Piece, paint};
use crate::{
    report::text::timestamp,
    timeline::{Happening, moment::Moment},
    tui::{
        state::State,
        theme::{Theme, Tone},
    },
};

pub(super) const COLUMNS: [Column; 4] =
    [Column::new("AT", 14, 2), Column::new("KIND", 17, 0), Column::new("OF", 10, 1).up_to(16), Column::new("WHAT", 20, 3).up_to(80)];

/// In a column beside other things.
const RECENT_MAX: usize = 50;
/// Of a moment; the rest is counted.
const JOBS_MAX: usize = 20;

fn tone(event: &Happening) -> Tone {
    match event.kind.as_str() {
        kind if kind.ends_with("failed") || kind == "file-quarantined" => Tone::Bad,
        "node-changed" if event.text.contains("offline") => Tone::Bad,
        "node-removed" | "node-stopped" | "node-draining" | "job-paused" | "job-cancelled" | "spark-split" | "copy-dropped" => Tone::Warning,
        "job-completed" | "node-paired" => Tone::Good,
        _ => Tone::Title,
    }
}

/// Without the year, so that what happened has room; in full it has that too.
fn at(event: &Happening) -> String {
    timestamp(event.at).get(5..19).unwrap_or_default().replace('T', " ")
}

pub(super) fn cells(state: &State, place: usize) -> Vec<Piece> {
    let event = &state.events[place];
    vec![(at(event), Tone::Dim), (event.kind.clone(), tone(event)), (event.subject.clone(), Tone::Text), (event.text.clone(), Tone::Dim)]
}

pub(super) fn card(state: &State, place: usize) -> [Line; 2] {
    let event = &state.events[place];
    [vec![(format!("{} ", event.kind), tone(event)), (event.subject.clone(), Tone::Text)], paint::plain(format!("{}  {}", at(event), event.text), Tone::Dim)]
}

/// The newest first, for the third column.
pub(super) fn recent(state: &State, width: usize) -> Vec<Line> {
    let title = paint::plain("events", Tone::Dim);
    let lines = state.events.iter().rev().take(RECENT_MAX).flat_map(|event| {
        let time = timestamp(event.at).get(11..19).unwrap_or_default().to_owned();
        let line = vec![(format!("{time} "), Tone::Dim), (format!("{} ", event.kind), tone(event)), (event.subject.clone(), Tone::Text)];
        let text = (!event.text.is_empty()).then(|| paint::plain(format!("  {}", event.text), Tone::Dim));
        std::iter::once(line).chain(text).flat_map(|line| paint::folded(&line, width)).collect::<Vec<_>>()
    });
    std::iter::once(title).chain(lines).collect()
}

pub(super) fn detail(state: &State, theme: Theme) -> Vec<Line> {
    let Some(event) = state.selected_event() else { return Vec::new() };
    let mut lines = vec![
        vec![(format!("{} ", event.kind), tone(event)), (event.subject.clone(), Tone::Text)],
        paint::field("at", format!("{}, event {}", timestamp(event.at), event.number)),
    ];
    if !event.text.is_empty() {
        lines.push(paint::field("what", event.text.as_str()));
    }
    let moment = Moment::of(&state.events, event.number);
    lines.extend([Line::new(), paint::plain("the fleet then, by what is remembered", Tone::Title)]);
    let entry = |id: &str, words: &str| {
        let is_new = id == event.subject;
        let word = words.split([' ', ',']).find(|word| theme.sign(word).1 != Tone::Dim).unwrap_or(words);
        let (sign, tone) = theme.sign(word);
        vec![(format!("{sign} "), tone), (format!("{id:<10} "), if is_new { Tone::Title } else { Tone::Dim }), (words.to_owned(), Tone::Text)]
    };
    lines.extend(moment.nodes.iter().map(|(id, words)| entry(id, words)));
    let open: Vec<Line> = moment.jobs.iter().rev().map(|(id, words)| entry(id, words)).collect();
    let more = open.len().saturating_sub(JOBS_MAX);
    lines.extend(open.into_iter().take(JOBS_MAX));
    if more > 0 {
        lines.push(paint::plain(format!("and {more} more jobs"), Tone::Dim));
    }
    lines
}
