//! One node: what it is, how loaded each part of it is, and what it runs.

use bitacora_core::fleet::NodeSelector;

use super::{Line, fleet, paint, short};
use crate::{
    control::{Cause, NodeDetail, NodeState},
    report::text::{bytes, timestamp},
    tui::{
        guard,
        state::State,
        theme::{Theme, Tone},
        widgets::spark,
    },
};

/// Cells of a gauge.
const GAUGE: usize = 20;
/// Of its log and of its projects: the events and the projects have screens of their own.
const LOG_MAX: usize = 8;
const PROJECTS_MAX: usize = 8;
/// Sparks that are listed; the rest is counted.
const HELD_MAX: usize = 20;

pub(super) fn lines(state: &State, theme: Theme, width: usize) -> Vec<Line> {
    let Some(node) = state.selected_node() else { return Vec::new() };
    let (status, tone) = fleet::status(state, node, theme);
    let cells = width.saturating_sub(12).min(60);
    let mut lines = vec![
        vec![(format!("{} ", node.name), Tone::Title), (status, tone), (format!("  {}", node.id), Tone::Dim)],
        vec![(format!("{:<11} ", "load"), Tone::Dim), (fleet::history(state, node, cells, theme), Tone::Accent)],
    ];
    lines.push(paint::field("sparks", format!("{} of {} slots, {}", node.sparks, node.slots, node.availability)));
    lines.extend(cause(node).map(|cause| paint::field("why", cause)));
    lines.extend(guard::is_spared(&state.options, node).then(|| paint::field("from here", "read-only")));
    if fleet::is_silent(node) {
        lines.push(paint::plain("Nothing is heard of it: these figures are the last that it told.", Tone::Warning));
    }
    // What is known of another one is not shown under this one's name.
    match state.watched.node.as_ref().filter(|detail| detail.state.id == node.id) {
        Some(detail) => known(&mut lines, detail, theme),
        None => lines.push(memory(node, theme)),
    }
    lines.extend(projects(state, node));
    lines.extend(log(state, node));
    lines
}

/// Those that it has work of now, and those that run nowhere but on it and others that were named.
fn projects(state: &State, node: &NodeState) -> Vec<Line> {
    let id = node.id.parse().unwrap_or_default();
    let is_pinned = |nodes: &str| nodes.parse().is_ok_and(|nodes: NodeSelector| !nodes.is_empty() && nodes.matches(id, &node.name, &node.labels));
    let known = state.fleet.projects.iter().filter_map(|project| match (node.projects.contains(&project.name), is_pinned(&project.nodes)) {
        (true, true) => Some(format!("{}, at work, assigned", project.name)),
        (true, false) => Some(format!("{}, at work", project.name)),
        (false, true) => Some(format!("{}, assigned", project.name)),
        (false, false) => None,
    });
    let known: Vec<String> = known.collect();
    let more = known.len().saturating_sub(PROJECTS_MAX);
    let listed = known.into_iter().take(PROJECTS_MAX).map(|project| paint::field("project", project));
    listed.chain((more > 0).then(|| paint::field("", format!("and {more} more")))).collect()
}

/// What became of it last, the latest first.
fn log(state: &State, node: &NodeState) -> Vec<Line> {
    let of_it = state.events.iter().rev().filter(|event| event.subject == node.id).take(LOG_MAX);
    let told = of_it.map(|event| {
        let text = if event.text.is_empty() { &event.kind } else { &event.text };
        paint::field("log", format!("{} {text}", timestamp(event.at).get(11..19).unwrap_or_default()))
    });
    told.collect()
}

fn cause(node: &NodeState) -> Option<String> {
    Some(match node.cause.as_ref()? {
        Cause::Draining { until } => format!("drains; what is left is moved at {}", timestamp(*until)),
        Cause::Drained { at } => format!("drained at {}", timestamp(*at)),
        Cause::Stopped { at, reason } => format!("stopped at {}: {reason}", timestamp(*at)),
    })
}

fn gauge(name: &str, part: u64, whole: u64, theme: Theme) -> Line {
    let percent = (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(0) as u32;
    let bar = spark::gauge(percent, GAUGE, theme.signs);
    vec![(format!("{name:<11} "), Tone::Dim), (bar, Tone::Accent), (format!(" {} of {}", bytes(part), bytes(whole)), Tone::Text)]
}

fn memory(node: &NodeState, theme: Theme) -> Line {
    gauge("memory", node.memory_bytes.saturating_sub(node.memory_available_bytes), node.memory_bytes, theme)
}

fn known(lines: &mut Vec<Line>, detail: &NodeDetail, theme: Theme) {
    let (load, profile) = (&detail.load, &detail.profile);
    let cores = spark::line(load.cores_permille.iter().copied(), load.cores_permille.len().min(60), theme.signs);
    lines.push(vec![(format!("{:<11} ", "cores"), Tone::Dim), (cores, Tone::Accent), (format!(" {}", profile.cores), Tone::Text)]);
    lines.push(memory(&detail.state, theme));
    lines.push(gauge("disk", load.disk_bytes.saturating_sub(load.disk_free_bytes), load.disk_bytes, theme));
    let held = detail.holds.iter().take(HELD_MAX);
    lines.extend(held.map(|held| paint::field("runs", format!("{} since {}", held.spark, timestamp(held.since)))));
    if detail.holds.len() > HELD_MAX {
        lines.push(paint::field("", format!("and {} more", detail.holds.len() - HELD_MAX)));
    }
    lines.extend(detail.link.as_ref().map(|link| paint::field("link", link.in_words())));
    let network = format!("{}/s in, {}/s out", bytes(load.received_bytes_per_second), bytes(load.sent_bytes_per_second));
    lines.push(paint::field("network", network));
    let degrees = load.temperature_millicelsius.map(|degrees| paint::field("temperature", format!("{} {}C", degrees / 1000, theme.signs.degree)));
    lines.extend(degrees);
    let failed = format!("{} finished, {} failed, {}/s", detail.finished, detail.failed, bytes(detail.bytes_per_second));
    lines.push(paint::field("work", failed));
    lines.push(paint::field("machine", format!("{}, {} {}", profile.host, profile.os, profile.arch)));
    lines.push(paint::field("agent", format!("{}, up {}", profile.version, short(load.running))));
    let nowhere = detail.stalled_since.map(|since| format!("; gets nowhere since {}", timestamp(since))).unwrap_or_default();
    let since = detail.health_since.map(|since| paint::field("health", format!("{} since {}{nowhere}", detail.state.health, timestamp(since))));
    lines.extend(since);
    lines.push(paint::field("labels", fleet::labels(&detail.state.labels)));
    lines.push(paint::field("for", if profile.specialisations.is_empty() { "everything".into() } else { profile.specialisations.join(", ") }));
    let only = [("projects", &profile.accepts.projects), ("devices", &profile.accepts.devices)];
    lines.extend(only.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| paint::field("only", format!("{what} {}", names.join(", ")))));
}
