//! A fleet to draw and to act on in tests: three nodes, three jobs, one project, and moments that never change.

use bitacora_core::{
    fleet::{JobStatus, JobType, Priority},
    ids::{Epoch, JobId, ProjectId},
    time::{Span, Time},
    wire::node::{Load, NodeProfile},
};
use ratatui::layout::Size;

use super::{
    state::State,
    update::{Cmd, Heard, Report, update},
};
use crate::control::{Cause, HeldSpark, JobState, NodeDetail, NodeState, Progress, ProjectState, ResultState, Snapshot};

pub const NOW: Time = Time(1_800_000_000_000_000);

pub fn node(counter: u32, name: &str, health: &str, availability: &str) -> NodeState {
    let heard = health != "offline";
    NodeState {
        id: format!("n1.{counter}"),
        name: name.into(),
        availability: availability.into(),
        cause: (availability == "draining").then_some(Cause::Draining { until: NOW + Span::from_secs(300) }),
        health: health.into(),
        linked: heard,
        slots: if heard { 8 } else { 0 },
        sparks: if heard { counter } else { 0 },
        cores: 8,
        cpu_permille: if heard { 820 } else { 0 },
        memory_bytes: if heard { 16_000_000_000 } else { 0 },
        memory_available_bytes: if heard { 9_500_000_000 } else { 0 },
        labels: [("zone".to_owned(), "eu".to_owned())].into(),
        paired_at: NOW,
    }
}

pub fn job(counter: u32, status: JobStatus, percent: u32) -> JobState {
    let over = status.is_over();
    JobState {
        id: JobId { epoch: Epoch(1), counter },
        project: Some("linux".into()),
        job_type: JobType::FullAnalysis,
        status,
        priority: Priority::Normal,
        percent,
        progress: Progress {
            over,
            status: status.name().into(),
            stage: "parsing".into(),
            files: 1200,
            files_done: u64::from(percent) * 12,
            bytes: 52_000_000,
            bytes_done: u64::from(percent) * 520_000,
            bytes_per_second: if over { 0 } else { 1_500_000 },
            seconds_to_go: (!over).then_some(95),
        },
        sparks_done: percent / 10,
        sparks: 10,
        attempts: 11,
        accepted_at: NOW,
        over_at: over.then_some(NOW + Span::from_secs(61)),
        reason: String::new(),
    }
}

pub fn fleet() -> Snapshot {
    let nodes = vec![node(1, "anvil", "healthy", "active"), node(2, "bellows", "degraded", "draining"), node(3, "crucible", "offline", "active")];
    let jobs = vec![job(9, JobStatus::Running, 42), job(8, JobStatus::Failed, 70), job(7, JobStatus::Completed, 100)];
    let result = ResultState { job: jobs[2].id, at: NOW, files: 64_321, lines: 28_000_111, code: 21_345_678, functions: 612_345, skipped: 12, failed: 1 };
    let id = ProjectId { epoch: Epoch(1), counter: 4 };
    let projects = vec![ProjectState { id, name: "linux".into(), root: "/src/linux".into(), results: vec![result] }];
    Snapshot { at: NOW + Span::from_secs(20), listens: Some("0.0.0.0:7411".into()), nodes, jobs, jobs_all: 3, projects }
}

pub fn detail() -> NodeDetail {
    NodeDetail {
        state: node(1, "anvil", "healthy", "active"),
        profile: NodeProfile {
            host: "anvil.lan".into(),
            os: "Debian 13".into(),
            arch: "aarch64".into(),
            cores: 8,
            version: "0.1.0".into(),
            ..NodeProfile::default()
        },
        load: Load {
            cpu_permille: 820,
            cores_permille: vec![1000, 900, 800, 700, 600, 500, 100, 0],
            disk_bytes: 512_000_000_000,
            disk_free_bytes: 128_000_000_000,
            received_bytes_per_second: 12_000,
            sent_bytes_per_second: 3_400_000,
            temperature_millicelsius: Some(61_500),
            running: Span::from_secs(7300),
            ..Load::default()
        },
        health_since: Some(NOW),
        holds: vec![HeldSpark { spark: "j1.9/3".parse().expect("it is one"), attempt: 1, since: NOW }],
        finished: 312,
        failed: 2,
        failed_permille: 6,
        bytes: 1_000_000_000,
        bytes_per_second: 1_500_000,
        average: Span::from_secs(2),
    }
}

/// A person who has heard of that fleet.
pub fn person(width: u16, height: u16) -> State {
    let mut state = State::new(Size::new(width, height), NOW);
    hear(&mut state, fleet());
    state
}

pub fn hear(state: &mut State, fleet: Snapshot) {
    let reasons = fleet.jobs.first().map(|job| (job.id, vec!["no connected node is configured to run cc: `fleet-agent --program cc`".to_owned()]));
    let report = Report { fleet: Heard::Snapshot(Box::new(fleet)), node: Some(Box::new(detail())), reasons };
    assert_eq!(update(state, Cmd::Heard(Box::new(report))), None);
}
