//! A fleet to draw and to act on in tests: three nodes, three jobs, one project, and moments that never change.

use bitacora_core::{
    fleet::{JobStatus, JobType, Priority},
    ids::{Epoch, JobId, ProjectId},
    time::{Span, Time},
    wire::node::{Load, NodeProfile},
};
use ratatui::layout::Size;

use super::{
    asked::{Afar, Definition, Language, Query, Record, Reply, Source, Summary, Worst},
    state::State,
    update::{Cmd, Heard, update},
};
use crate::{
    control::{
        Cause, HeldSpark, JobState, LinkState, NodeDetail, NodeSeen, NodeState, Progress, ProjectState, ResultState, Snapshot,
        watch::{Change, Focused, JobDetail, Mark, Nearby, News, SparkRow},
    },
    timeline::Happening,
};

pub const NOW: Time = Time(1_800_000_000_000_000);

pub fn node(counter: u32, name: &str, health: &str, availability: &str) -> NodeState {
    let heard = health != "offline";
    NodeState {
        id: format!("n1.{counter}"),
        name: name.into(),
        role: "worker".into(),
        availability: availability.into(),
        cause: (availability == "draining").then_some(Cause::Draining { until: NOW + Span::from_secs(300) }),
        health: health.into(),
        linked: heard,
        slots: if heard { 8 } else { 0 },
        sparks: if heard { counter } else { 0 },
        projects: if heard { vec!["linux".into()] } else { Vec::new() },
        cores: 8,
        cpu_permille: if heard { 820 } else { 0 },
        memory_bytes: if heard { 16_000_000_000 } else { 0 },
        memory_available_bytes: if heard { 9_500_000_000 } else { 0 },
        labels: [("zone".to_owned(), "eu".to_owned())].into(),
        given_labels: [].into(),
        paired_at: NOW,
        version: if heard { "0.1.0".into() } else { String::new() },
        address: heard.then(|| format!("192.0.2.{counter}:40112")),
        round_trip: heard.then(|| Span::from_millis(12 * u64::from(counter.saturating_sub(1)))),
    }
}

pub fn job(counter: u32, status: JobStatus, percent: u32) -> JobState {
    let over = status.is_over();
    JobState {
        id: JobId { epoch: Epoch(1), counter },
        project: Some("linux".into()),
        command: None,
        job_type: JobType::FullAnalysis,
        status,
        priority: Priority::Normal,
        by: "user 1000".into(),
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
            percent,
            sparks: 10,
            sparks_done: percent / 10,
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
    let projects = vec![ProjectState { id, name: "linux".into(), root: "/src/linux".into(), nodes: "anvil".into(), results: vec![result] }];
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
        link: Some(LinkState { carrier: "quic".into(), address: "192.0.2.7:40112".into(), round_trip: Some(Span(1_800)) }),
        called_at: vec!["192.0.2.7:7413".parse().expect("it is one")],
        health_since: Some(NOW),
        stalled_since: None,
        holds: vec![HeldSpark { spark: "j1.9/3".parse().expect("it is one"), attempt: 1, since: NOW }],
        finished: 312,
        failed: 2,
        failed_permille: 6,
        bytes: 1_000_000_000,
        bytes_per_second: 1_500_000,
        average: Span::from_secs(2),
        unsupported: 0,
    }
}

fn spark(number: u32, status: &str, node: Option<&str>, what: &str) -> SparkRow {
    SparkRow {
        id: format!("j1.9/{number}").parse().expect("it is one"),
        status: status.into(),
        node: node.map(str::to_owned),
        since: node.map(|_| NOW),
        files: 120,
        files_done: if status == "completed" { 120 } else { 40 },
        bytes_done: 1_200_000,
        attempts: 1,
        failures: u32::from(status == "failed"),
        what: what.into(),
    }
}

fn focused(job: JobId) -> Focused {
    let reasons = vec!["no connected node is configured to run cc: `fleet-agent --program cc`".to_owned()];
    let sparks = vec![spark(3, "running", Some("anvil"), ""), spark(5, "failed", None, "a worker thread ended"), spark(1, "completed", None, "")];
    let seen = |name: &str, key: &str, paired| NodeSeen {
        name: name.into(),
        key: key.into(),
        paired,
        protocol: "1.0".into(),
        addresses: vec![if paired { "192.168.1.20:0".into() } else { "192.168.1.21:45678".into() }],
    };
    Focused {
        node: Some(Box::new(detail())),
        job: Some(Box::new(JobDetail { id: job, reasons, counts: vec![("running".into(), 1), ("failed".into(), 1), ("completed".into(), 1)], sparks })),
        nearby: Some(Nearby::Seen(vec![seen("dross", "k4b1d2", false), seen("anvil", "a90c11", true)])),
    }
}

fn events() -> Vec<Happening> {
    let all = [
        ("node-paired", "n1.1", "anvil"),
        ("node-changed", "n1.1", "anvil is healthy, active"),
        ("job-accepted", "j1.9", "full-analysis, 10 sparks"),
        ("attempt-failed", "j1.9/5", "a worker thread ended"),
        ("node-changed", "n1.3", "crucible is offline, active, no link"),
    ];
    let event = |(nth, (kind, subject, text)): (u64, (&str, &str, &str))| Happening {
        number: nth,
        at: NOW + Span::from_secs(nth),
        kind: kind.into(),
        subject: subject.into(),
        text: text.into(),
    };
    (1..).zip(all).map(event).collect()
}

/// What a master says that tells of a fleet for the first time.
pub fn news(fleet: Snapshot) -> News {
    let job = fleet.jobs.first().map(|job| job.id).unwrap_or_default();
    let nodes = fleet.nodes.into_iter().map(|node| Change::Node(Box::new(node)));
    let jobs = fleet.jobs.into_iter().map(|job| Change::Job(Box::new(job)));
    let projects = fleet.projects.into_iter().map(|project| Change::Project(Box::new(project)));
    News {
        at: fleet.at,
        listens: fleet.listens,
        jobs_all: fleet.jobs_all,
        mark: Mark { epoch: Epoch(1), change: 1 },
        from_nothing: true,
        more: false,
        changes: nodes.chain(jobs).chain(projects).collect(),
        events: events(),
        focused: Some(Box::new(focused(job))),
        focus_known: 1,
        histories: Vec::new(),
    }
}

/// A person who has heard of that fleet.
pub fn person(width: u16, height: u16) -> State {
    let mut state = State::new(Size::new(width, height), NOW);
    state.options.commands = ["analyze", "events", "help", "job", "job ls", "node", "node ls", "spark"].map(str::to_owned).into();
    hear(&mut state, fleet());
    state
}

pub fn hear(state: &mut State, fleet: Snapshot) {
    assert_eq!(update(state, Cmd::Heard(Heard::News(Box::new(news(fleet))))), None);
}

/// Answers what is asked of commands, until nothing is.
pub fn answer(state: &mut State) {
    while let Some(query) = state.next_query() {
        let reply = match &query {
            Query::Result { .. } => Reply::Result(Some(Box::new(summary()))),
            Query::Symbols { .. } => Reply::Symbols(vec![definition("schedule", 6321, true), definition("schedule_timeout", 70, false)]),
            Query::Fleets => Reply::Fleets(vec![afar("home", "anvil", "healthy"), afar("work", "bellows", "degraded"), silent("attic")]),
            Query::Audit => Reply::Audit(vec![record(1, "authority-made", "done"), record(2, "node-joined", "done"), record(3, "job-cancelled", "refused")]),
        };
        assert_eq!(update(state, Cmd::Answered { query, reply }), None);
    }
}

fn afar(fleet: &str, name: &str, health: &str) -> Afar {
    let texts = |text: &str| text.to_owned();
    let shown = Afar { fleet: texts(fleet), name: texts(name), id: texts("n1.1"), health: texts(health), availability: texts("active"), ..Afar::default() };
    Afar { linked: true, cpu_permille: 420, sparks: 3, slots: 4, projects: vec![texts("linux")], round_trip: Some(Span::from_millis(12)), ..shown }
}

fn silent(fleet: &str) -> Afar {
    Afar { fleet: fleet.to_owned(), health: "unreachable".into(), reason: "no answer from 192.0.2.7:4711 in 5 s".into(), ..Afar::default() }
}

fn summary() -> Summary {
    let language = |name: &str, files, code| Language { language: name.into(), files, code, functions: files * 9 };
    let worst = |function: &str, line, cyclomatic| Worst {
        path: "kernel/sched/core.c".into(),
        line,
        function: function.into(),
        code: cyclomatic * 4,
        cyclomatic,
        cognitive: cyclomatic * 2,
    };
    Summary {
        bytes: 1_336_000_000,
        comment: 3_100_000,
        blank: 3_554_433,
        symbols: 1_912_345,
        languages: vec![language("c", 59_932, 20_900_000), language("python", 420, 99_000), language("bash", 912, 61_000)],
        worst: vec![worst("__schedule", 6321, 41), worst("try_to_wake_up", 4012, 38)],
        skipped_by_reason: [("generated".to_owned(), 9), ("binary".to_owned(), 3)].into(),
        failed_files: Vec::new(),
    }
}

fn definition(name: &str, line: u32, is_there: bool) -> Definition {
    let text = format!("void {name}(void)\n{{\n    while (need_resched()) {{\n        __schedule(SM_NONE);\n    }}\n}}\n");
    Definition {
        path: "kernel/sched/core.c".into(),
        language: "c".into(),
        name: name.into(),
        kind: "function".into(),
        line,
        end_line: line + 5,
        container: None,
        signature: format!("void {name}(void)"),
        fit: "exact".into(),
        source: is_there.then_some(Source { text, cut: false, as_analysed: true }),
    }
}

fn record(number: u64, action: &str, outcome: &str) -> Record {
    Record {
        number,
        at: "2027-01-15T08:00:00Z".into(),
        by: "user 1000".into(),
        action: action.into(),
        subject: "anvil".into(),
        outcome: outcome.into(),
        reason: if outcome == "refused" { "job j1.7 is completed".into() } else { String::new() },
        hash: "ab".repeat(32),
    }
}
