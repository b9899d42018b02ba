//! Text from nodes, trees and commands, before it is kept: without what would steer a terminal. Nothing else makes text that is shown.

use crate::{
    control::{
        Cause, JobState, NodeDetail, NodeSeen, NodeState, ProjectState,
        watch::{Change, Focused, JobDetail, Nearby, News},
    },
    report::text::harmless,
    timeline::Happening,
};

/// A command that says more is cut: it is shown to a person.
pub const OUTPUT_BYTES_MAX: usize = 256 << 10;

pub fn mend(text: &mut String) {
    *text = harmless(text);
}

pub fn news(mut news: News) -> News {
    for change in &mut news.changes {
        match change {
            Change::Node(state) => node(state),
            Change::Job(state) => job(state),
            Change::Project(state) => project(state),
            Change::Gone(_) => {}
        }
    }
    news.events.iter_mut().for_each(event);
    news.focused = news.focused.map(|focused| Box::new(self::focused(*focused)));
    news
}

fn focused(mut focused: Focused) -> Focused {
    focused.node.iter_mut().for_each(|node| detail(node));
    focused.job.iter_mut().for_each(|job| job_detail(job));
    match &mut focused.nearby {
        None => {}
        Some(Nearby::Unknown(reason)) => mend(reason),
        Some(Nearby::Seen(nodes)) => nodes.iter_mut().for_each(seen),
    }
    focused
}

fn detail(detail: &mut NodeDetail) {
    node(&mut detail.state);
    let profile = &mut detail.profile;
    [&mut profile.host, &mut profile.os, &mut profile.arch, &mut profile.version, &mut profile.build].into_iter().for_each(mend);
    let accepts = &mut profile.accepts;
    profile.specialisations.iter_mut().chain(&mut accepts.projects).chain(&mut accepts.devices).for_each(mend);
}

fn job_detail(detail: &mut JobDetail) {
    detail.reasons.iter_mut().for_each(mend);
    for spark in &mut detail.sparks {
        spark.node.iter_mut().for_each(mend);
        mend(&mut spark.what);
    }
}

fn event(event: &mut Happening) {
    [&mut event.kind, &mut event.subject, &mut event.text].into_iter().for_each(mend);
}

fn seen(node: &mut NodeSeen) {
    [&mut node.name, &mut node.key, &mut node.protocol].into_iter().for_each(mend);
    node.addresses.iter_mut().for_each(mend);
}

/// What a command wrote: its lines and tabs stay.
pub fn output(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = |line: &str| line.split('\t').map(harmless).collect::<Vec<_>>().join("\t");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn node(node: &mut NodeState) {
    [&mut node.name, &mut node.health, &mut node.availability, &mut node.version].into_iter().for_each(mend);
    node.address.iter_mut().chain(&mut node.projects).for_each(mend);
    for labels in [&mut node.labels, &mut node.given_labels] {
        *labels = std::mem::take(labels).into_iter().map(|(key, value)| (harmless(&key), harmless(&value))).collect();
    }
    if let Some(Cause::Stopped { reason, .. }) = &mut node.cause {
        mend(reason);
    }
}

fn job(job: &mut JobState) {
    mend(&mut job.reason);
    mend(&mut job.by);
    job.project.iter_mut().chain(&mut job.command).for_each(mend);
}

fn project(project: &mut ProjectState) {
    mend(&mut project.name);
    mend(&mut project.root);
    mend(&mut project.nodes);
}
