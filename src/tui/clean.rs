//! Text from nodes, trees and commands, before it is kept: without what would steer a terminal. Nothing else makes text that is shown.

use crate::{
    control::{Cause, JobState, NodeDetail, NodeState, ProjectState, Snapshot},
    report::text::harmless,
};

/// A command that says more is cut: it is shown to a person.
pub const OUTPUT_BYTES_MAX: usize = 256 << 10;

fn mend(text: &mut String) {
    *text = harmless(text);
}

pub fn snapshot(mut fleet: Snapshot) -> Snapshot {
    fleet.nodes.iter_mut().for_each(node);
    fleet.jobs.iter_mut().for_each(job);
    fleet.projects.iter_mut().for_each(project);
    fleet
}

pub fn detail(mut detail: NodeDetail) -> NodeDetail {
    node(&mut detail.state);
    let profile = &mut detail.profile;
    [&mut profile.host, &mut profile.os, &mut profile.arch, &mut profile.version, &mut profile.build].into_iter().for_each(mend);
    profile.specialisations.iter_mut().for_each(mend);
    detail
}

pub fn reasons(mut reasons: Vec<String>) -> Vec<String> {
    reasons.iter_mut().for_each(mend);
    reasons
}

/// What a command wrote: its lines and tabs stay.
pub fn output(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = |line: &str| line.split('\t').map(harmless).collect::<Vec<_>>().join("\t");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn node(node: &mut NodeState) {
    [&mut node.name, &mut node.health, &mut node.availability].into_iter().for_each(mend);
    node.labels = std::mem::take(&mut node.labels).into_iter().map(|(key, value)| (harmless(&key), harmless(&value))).collect();
    if let Some(Cause::Stopped { reason, .. }) = &mut node.cause {
        mend(reason);
    }
}

fn job(job: &mut JobState) {
    mend(&mut job.reason);
    job.project.iter_mut().for_each(mend);
}

fn project(project: &mut ProjectState) {
    mend(&mut project.name);
    mend(&mut project.root);
}
