//! The sparks of a job: what runs where, what failed and why, what waits.

use super::{Column, Line, Piece, paint};
use crate::{
    control::watch::SparkRow,
    report::text::{bytes, timestamp},
    tui::{
        state::State,
        theme::{Theme, Tone},
    },
};

pub(super) const COLUMNS: [Column; 6] = [
    Column::new("STATUS", 13, 0),
    Column::new("SPARK", 10, 1).up_to(12),
    Column::new("NODE", 10, 2).up_to(14),
    Column::new("FILES", 13, 3).right(),
    Column::new("TRIES", 5, 5).right(),
    Column::new("WHAT", 12, 4).up_to(80),
];

fn status(spark: &SparkRow, theme: Theme) -> Piece {
    let (sign, tone) = theme.sign(&spark.status);
    (format!("{sign} {}", spark.status), tone)
}

fn files(spark: &SparkRow) -> String {
    if spark.files == 0 { "-".into() } else { format!("{}/{}", spark.files_done, spark.files) }
}

pub(super) fn cells(state: &State, place: usize, theme: Theme) -> Vec<Piece> {
    let spark = &state.sparks()[place];
    vec![
        status(spark, theme),
        (spark.id.to_string(), Tone::Title),
        (spark.node.clone().unwrap_or_else(|| "-".into()), Tone::Text),
        (files(spark), Tone::Text),
        (spark.attempts.to_string(), Tone::Dim),
        (spark.what.clone(), Tone::Dim),
    ]
}

pub(super) fn card(state: &State, place: usize, theme: Theme) -> [Line; 2] {
    let spark = &state.sparks()[place];
    let (status, tone) = status(spark, theme);
    let node = spark.node.as_deref().unwrap_or("-");
    let first = vec![(format!("{status:<13} "), tone), (format!("{} ", spark.id), Tone::Title), (format!(" {node}"), Tone::Text)];
    let dot = theme.signs.dot;
    [first, paint::plain(format!("{} files {dot} {} tries {dot} {}", files(spark), spark.attempts, spark.what), Tone::Dim)]
}

pub(super) fn detail(state: &State, theme: Theme) -> Vec<Line> {
    let Some(spark) = state.selected_spark() else { return Vec::new() };
    let (status, tone) = status(spark, theme);
    let mut lines = vec![vec![(format!("{} ", spark.id), Tone::Title), (status, tone)]];
    lines.extend(spark.node.as_ref().map(|node| paint::field("node", node.as_str())));
    lines.extend(spark.since.map(|since| paint::field("since", timestamp(since))));
    lines.push(paint::field("files", files(spark)));
    if spark.bytes_done > 0 {
        lines.push(paint::field("read", bytes(spark.bytes_done)));
    }
    lines.push(paint::field("attempts", format!("{}, {} failed", spark.attempts, spark.failures)));
    if !spark.what.is_empty() {
        lines.push(paint::field(if spark.files == 0 { "runs" } else { "why" }, spark.what.as_str()));
    }
    lines
}
