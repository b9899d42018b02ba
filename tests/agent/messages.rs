//! The messages between a master and its agents: as version 1 wrote them they are read for ever, and whatever is in them
//! arrives as it was.

use std::{collections::BTreeMap, fmt::Debug};

use bitacora_core::{
    ids::{Attempt, Digest, Epoch, Incarnation, JobId, NodeId, ProjectId, SparkId},
    paths::RelativePath,
    time::Span,
    wire::{
        Envelope, FromAgent, ToAgent,
        command::{CommandEnd, CommandLine, ExitStatus},
        configuration::{ConfigurationOutcome, ConfigurationReport},
        message::{AuditHead, Held, Output, Progress},
        neighbours::{Neighbour, Neighbours},
        node::{Load, NodeProfile, Sources},
        record::FileSummary,
        task::{Analysis, AttemptError, FailReason, FileLimits, FileOutcome, FileResult, FileStat, RecordRef, SkipReason, SparkOutput, Task, TaskFile, Work},
        warrant::{Acceptance, Warrant},
    },
};
use fleet_agent::net::codec::{self, Decoder, Kind, Received, RequestId, Spoken};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

const SPARK: SparkId = SparkId { job: JobId { epoch: Epoch(3), counter: 14 }, number: 7 };
const ATTEMPT: Attempt = Attempt(2);

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn envelope<Body>(body: Body) -> Envelope<Body> {
    Envelope { epoch: Epoch(3), incarnation: Incarnation(1_700_000_000_000_000), body }
}

fn to_agent() -> Vec<(&'static str, ToAgent)> {
    let task = |work| ToAgent::ExecuteTask(Task { spark: SPARK, attempt: ATTEMPT, work, timeout: Span::from_secs(600), slots: 1, warrant: Warrant::default() });
    let path = RelativePath::new(b"src/b\xffd.c".to_vec()).unwrap();
    let file = TaskFile { index: 5, path, language: "c".into(), size: 1234, content: Some(digest(1)) };
    let limits = FileLimits { bytes_max: 5 << 20, parse_steps_max: 20_000_000, wall_max: Span::from_secs(60) };
    let neighbour = |node, address: &str| Neighbour { node: NodeId(node), address: address.parse().unwrap() };
    let neighbours = Neighbours { ask: vec![neighbour(1, "10.0.0.7:40000"), neighbour(2, "[fd00::7]:40000")], serve: vec![NodeId(3)] };
    let line = CommandLine {
        program: "make".into(),
        arguments: vec!["check".into(), "a b".into()],
        environment: BTreeMap::from([("LANG".to_owned(), "C".to_owned())]),
        output_bytes_max: 1 << 20,
        folder: None,
    };
    let warrant = Warrant { device: Some("phone".into()), project: Some("bitacora".into()) };
    let warranted = ToAgent::ExecuteTask(Task { spark: SPARK, attempt: ATTEMPT, work: Work::Nothing, timeout: Span(1), slots: 2, warrant });
    vec![
        ("analyse", task(Work::Analyse(Analysis { root: b"/home/ada/\xff".to_vec(), files: vec![file], limits, isolated: true, use_cache: true }))),
        ("run", task(Work::Run(line.clone()))),
        ("run-in-a-tree", task(Work::Run(CommandLine { folder: Some(b"/home/ada/\xff".to_vec()), ..line }))),
        ("nothing", task(Work::Nothing)),
        ("nothing-warranted", warranted),
        ("cancel-task", ToAgent::CancelTask { spark: SPARK, attempt: ATTEMPT }),
        ("acknowledge", ToAgent::Acknowledge { spark: SPARK, attempt: ATTEMPT }),
        ("audit-head-told", ToAgent::AuditHead(AuditHead { number: 9, hash: digest(9) })),
        ("sync-state", ToAgent::SyncState),
        ("emergency-shutdown", ToAgent::EmergencyShutdown { reason: "smoke in the rack".into() }),
        ("migrate-project", ToAgent::MigrateProject { project: ProjectId { epoch: Epoch(1), counter: 2 }, to: NodeId(4_294_967_297) }),
        ("dismiss", ToAgent::Dismiss),
        ("update-configuration", ToAgent::UpdateConfiguration { revision: 4_294_967_301, text: "cores = 2\n".into(), warrant: Warrant::default() }),
        ("keep-configuration", ToAgent::KeepConfiguration { revision: 4_294_967_301 }),
        ("neighbours", ToAgent::Neighbours(neighbours)),
        ("set-pace", ToAgent::SetPace { heartbeat: Span::from_millis(1500), idle: Span(0) }),
        ("set-pace-idle", ToAgent::SetPace { heartbeat: Span::from_millis(1500), idle: Span::from_secs(6) }),
    ]
}

fn from_agent() -> Vec<(&'static str, FromAgent)> {
    let (spark, attempt) = (SPARK, ATTEMPT);
    let held = vec![Held { spark, attempt }];
    let profile = NodeProfile { host: "ada".into(), cores: 8, labels: [("zone".to_owned(), "eu".to_owned())].into(), ..NodeProfile::default() };
    let load = Load { cpu_permille: 250, cores_permille: vec![500, 0], ..Load::default() };
    let hello = FromAgent::Hello { slots: 8, fingerprint: digest(2), held: held.clone(), programs: vec!["make".into()], profile: Box::new(profile) };
    let accepts = Acceptance { projects: vec!["bitacora".into()], devices: vec!["phone".into()] };
    let profile = Box::new(NodeProfile { accepts, ..NodeProfile::default() });
    let choosy = FromAgent::Hello { slots: 1, fingerprint: digest(2), held: vec![], programs: vec![], profile };
    let sources = Sources { everything: false, folders: vec![ByteBuf::from(b"/home/ada".to_vec())] };
    let profile = Box::new(NodeProfile { sources, ..NodeProfile::default() });
    let seeing = FromAgent::Hello { slots: 1, fingerprint: digest(2), held: vec![], programs: vec![], profile };
    let configuration = |outcome| FromAgent::Configuration(ConfigurationReport { revision: 4_294_967_301, outcome });
    let failed = |error| FromAgent::Failed { spark, attempt, error };
    let end = CommandEnd { status: ExitStatus::Signal(9), log: digest(3), log_bytes: 10, dropped_bytes: 20 };
    vec![
        ("hello", hello),
        ("hello-accepting", choosy),
        ("hello-seeing", seeing),
        ("heartbeat", FromAgent::Heartbeat { held: held.clone(), load, pace: Span::from_millis(500) }),
        ("leaving", FromAgent::Leaving { held }),
        ("unsupported", FromAgent::Unsupported { command: "MigrateProject".into() }),
        ("audit-head-known", FromAgent::AuditHead(AuditHead { number: 9, hash: digest(9) })),
        ("configuration-applied", configuration(ConfigurationOutcome::Applied)),
        ("configuration-refused", configuration(ConfigurationOutcome::Refused { reason: "line 1: no".into() })),
        ("configuration-rolled-back", configuration(ConfigurationOutcome::RolledBack)),
        ("packs-dropped", FromAgent::PacksDropped { packs: vec![digest(5), digest(6)] }),
        ("progress", FromAgent::Progress(Progress { spark, attempt, files: 12, bytes: 345_678 })),
        ("output", FromAgent::Output(Output { spark, attempt, offset: 64, bytes: b"a\0\xff".to_vec() })),
        ("finished", FromAgent::Finished { spark, attempt, output: output(), took: Span::from_millis(42) }),
        ("crashed", failed(AttemptError::Crashed("signal 11".into()))),
        ("cancelled", failed(AttemptError::Cancelled)),
        ("not-taken", failed(AttemptError::NotTaken("the disk is full".into()))),
        ("storage", failed(AttemptError::Storage("the disk is full".into()))),
        ("exited", failed(AttemptError::Exited(end))),
    ]
}

fn output() -> SparkOutput {
    let record = RecordRef { pack: digest(4), entry: 3 };
    let stat = FileStat { size: 1234, modified_ns: -1, changed_ns: 1_700_000_000_000_000_000, inode: 77 };
    let analysed = FileResult::Analysed { content: digest(1), language: "c".into(), record, summary: FileSummary::default() };
    let results = [analysed, FileResult::Skipped(SkipReason::Minified), FileResult::Failed(FailReason::Unreadable("permission denied".into()))];
    let files = (0..).zip(results).map(|(index, result)| FileOutcome { index, stat: Some(stat), result }).collect();
    SparkOutput { files, cached: 1, ended: None }
}

/// Through a frame and back.
fn sent<Body: Serialize + DeserializeOwned>(kind: Kind, message: &Envelope<Body>) -> Envelope<Body> {
    let mut bytes = Vec::new();
    codec::encode(kind, RequestId(1), message, &mut bytes).unwrap();
    let Ok(Some(Received::Frame(frame))) = Decoder::default().push(&mut bytes.as_slice()) else { panic!("a whole frame was there") };
    let Spoken::Known(message) = frame.envelope().unwrap() else { panic!("it is known") };
    message
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The frames that version 1 wrote, by name. They are never written anew: a message that they do not read as what it was
/// is a message that an agent of that version sends and its master does not understand.
fn golden(name: &str) -> Option<Vec<u8>> {
    let lines = include_str!("../golden/messages-1.hex").lines();
    let hex = lines.filter_map(|line| line.split_once(' ')).find_map(|(of, hex)| (of == name).then_some(hex))?;
    Some((0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
}

/// Reads the message's line; answers with the line that it lacks.
fn is_read_for_ever<Body: Serialize + DeserializeOwned + PartialEq + Debug>(kind: Kind, name: &str, body: Body) -> Option<String> {
    let message = envelope(body);
    let Some(bytes) = golden(name) else {
        let mut today = Vec::new();
        codec::encode(kind, RequestId(1), &message, &mut today).unwrap();
        return Some(format!("{name} {}\n", hex(&today)));
    };
    let Ok(Some(Received::Frame(frame))) = Decoder::default().push(&mut bytes.as_slice()) else { panic!("{name}") };
    assert_eq!((frame.kind, frame.envelope::<Body>().unwrap()), (kind, Spoken::Known(message)), "{name}");
    None
}

#[test]
fn messages_of_version_1_are_read_for_ever() {
    let to_agent = to_agent().into_iter().filter_map(|(name, body)| is_read_for_ever(Kind::ToAgent, name, body));
    let from_agent = from_agent().into_iter().filter_map(|(name, body)| is_read_for_ever(Kind::FromAgent, name, body));
    let missing: String = to_agent.chain(from_agent).collect();
    assert!(missing.is_empty(), "new messages need their lines:\n{missing}");
}

fn ids() -> impl Strategy<Value = (SparkId, Attempt)> {
    let ids = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    ids.prop_map(|(epoch, counter, number, attempt)| (SparkId { job: JobId { epoch: Epoch(epoch), counter }, number }, Attempt(attempt)))
}

fn any_from_agent() -> impl Strategy<Value = FromAgent> {
    let held = || prop::collection::vec(ids().prop_map(|(spark, attempt)| Held { spark, attempt }), 0..50);
    let ended = (ids(), ".*", any::<u64>(), any::<i32>(), any::<[u8; 32]>());
    prop_oneof![
        (held(), any::<u64>()).prop_map(|(held, pace)| FromAgent::Heartbeat { held, load: Load::default(), pace: Span(pace) }),
        held().prop_map(|held| FromAgent::Leaving { held }),
        (ids(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|((spark, attempt), offset, bytes)| FromAgent::Output(Output {
            spark,
            attempt,
            offset,
            bytes
        })),
        (ids(), ".*").prop_map(|((spark, attempt), text)| FromAgent::Failed { spark, attempt, error: AttemptError::Refused(text) }),
        ended.prop_map(|((spark, attempt), language, size, code, bytes)| {
            let end = CommandEnd { status: ExitStatus::Code(code), log: Digest(bytes), log_bytes: size, dropped_bytes: !size };
            let result = FileResult::Analysed {
                content: Digest(bytes),
                language,
                record: RecordRef { pack: Digest(bytes), entry: u32::MAX },
                summary: FileSummary::default(),
            };
            let output = SparkOutput { files: vec![FileOutcome { index: 1, stat: None, result }], cached: 0, ended: Some(end) };
            FromAgent::Finished { spark, attempt, output, took: Span(size) }
        }),
    ]
}

fn any_to_agent() -> impl Strategy<Value = ToAgent> {
    let words = prop::collection::vec(".*", 0..5);
    let path = prop::collection::vec(any::<u8>(), 1..100).prop_filter_map("no path", |bytes| RelativePath::new(bytes).ok());
    prop_oneof![
        (ids(), ".*", words, any::<u64>()).prop_map(|((spark, attempt), program, arguments, time)| {
            let line = CommandLine {
                program,
                environment: arguments.iter().map(|word| (word.clone(), word.clone())).collect(),
                arguments,
                output_bytes_max: time,
                folder: None,
            };
            ToAgent::ExecuteTask(Task { spark, attempt, work: Work::Run(line), timeout: Span(time), slots: 1, warrant: Warrant::default() })
        }),
        (ids(), path, any::<u64>(), prop::option::of(any::<[u8; 32]>())).prop_map(|((spark, attempt), path, size, content)| {
            let file = TaskFile { index: attempt.0, path, language: String::new(), size, content: content.map(Digest) };
            let analysis = Analysis { files: vec![file], ..Analysis::default() };
            ToAgent::ExecuteTask(Task { spark, attempt, work: Work::Analyse(analysis), timeout: Span(size), slots: 1, warrant: Warrant::default() })
        }),
        ids().prop_map(|(spark, attempt)| ToAgent::CancelTask { spark, attempt }),
        ".*".prop_map(|reason| ToAgent::EmergencyShutdown { reason }),
    ]
}

proptest! {
    #[test]
    fn what_an_agent_says_arrives_as_it_was(body in any_from_agent(), epoch: u32, incarnation: u64) {
        let message = Envelope { epoch: Epoch(epoch), incarnation: Incarnation(incarnation), body };
        prop_assert_eq!(sent(Kind::FromAgent, &message), message);
    }

    #[test]
    fn what_a_master_says_arrives_as_it_was(body in any_to_agent(), epoch: u32, incarnation: u64) {
        let message = Envelope { epoch: Epoch(epoch), incarnation: Incarnation(incarnation), body };
        prop_assert_eq!(sent(Kind::ToAgent, &message), message);
    }
}
