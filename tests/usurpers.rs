//! Masters that ask a real agent for what no master may have: each is refused, and the agent stays.

use std::fs;

use bitacora_core::{
    ids::{Digest, Incarnation, NodeId},
    paths::RelativePath,
    wire::{
        Envelope, FromAgent, ToAgent,
        command::{CommandLine, OUTPUT_BYTES},
        configuration::ConfigurationOutcome,
        task::{Analysis, AttemptError, FailReason, FileResult, SparkOutput, TaskFile, Work},
        warrant::Warrant,
    },
};
use fleet_agent::{
    blobs,
    net::{
        codec::{Kind, Received, RequestId},
        tls::Role,
    },
};
use serde::Serialize;

use super::{
    fleet::{Fleet, Process, until},
    puppet::{Master, authority, authority_of, execute, identity, listen, patiently, runtime, spark},
};

fn command(program: &str) -> Work {
    Work::Run(CommandLine { program: program.into(), output_bytes_max: OUTPUT_BYTES, ..CommandLine::default() })
}

fn file(path: &str, content: Option<Digest>) -> TaskFile {
    TaskFile { index: 0, path: RelativePath::new(path.into()).unwrap(), language: "python".into(), size: 10, content }
}

fn analysis(master: &Master, file: TaskFile, isolated: bool) -> Work {
    let root = master.path("tree").into_os_string().into_encoded_bytes();
    Work::Analyse(Analysis { root, files: vec![file], isolated, ..Analysis::default() })
}

/// What an agent says is said again until somebody acknowledges it, so that it has to be told apart.
fn failure_of(number: u32) -> impl Fn(FromAgent) -> Option<AttemptError> {
    move |message| if let FromAgent::Failed { spark: of, error, .. } = message { Some(error).filter(|_| of == spark(number)) } else { None }
}

fn output_of(number: u32) -> impl Fn(FromAgent) -> Option<SparkOutput> {
    move |message| if let FromAgent::Finished { spark: of, output, .. } = message { Some(output).filter(|_| of == spark(number)) } else { None }
}

#[test]
fn a_program_that_its_own_configuration_does_not_name_is_not_run() {
    let mut master = Master::new(&["--program", "true"]);
    // Also by another name of what is allowed, and through what is allowed to nobody.
    for (number, program) in [(1, "touch"), (2, "/bin/true"), (3, "./true"), (4, "true ; touch x"), (5, "")] {
        let message = master.envelope(1, execute(number, command(program)));
        master.say(&message);
        let failure = master.hear(failure_of(number));
        assert!(matches!(failure, AttemptError::Refused(_)), "{program:?}: {failure:?}");
    }
}

#[test]
fn a_path_out_of_the_project_is_no_message_and_ends_the_link() {
    let mut master = Master::new(&[]);
    for evil in ["../../secret.py", "/etc/secret.pyy", "aa/../secret.py", "aa//b/secret.py", "aa/b\0/secret.py"] {
        let good = "aa/bb/secret.py";
        assert_eq!(good.len(), evil.len());
        let message = master.envelope(1, execute(1, analysis(&master, file(good, None), false)));
        let mut payload = rmp_serde::to_vec_named(&message).unwrap();
        let place = payload.windows(good.len()).position(|bytes| bytes == good.as_bytes()).unwrap();
        payload[place..place + good.len()].copy_from_slice(evil.as_bytes());
        let Master { runtime, connection, .. } = &mut master;
        runtime.block_on(connection.tx.send_raw(Kind::ToAgent, RequestId(0), payload.into())).unwrap();
        master.is_left();
        // The same process dials again.
        master.linked_again();
    }
    assert!(master.log().contains("the master sent what cannot be read"), "{}", master.log());
}

fn said_of_configuration(revision: u64) -> impl Fn(FromAgent) -> Option<ConfigurationOutcome> {
    move |message| if let FromAgent::Configuration(report) = message { Some(report.outcome).filter(|_| report.revision == revision) } else { None }
}

fn slots_of(message: FromAgent) -> Option<u32> {
    if let FromAgent::Hello { slots, .. } = message { Some(slots) } else { None }
}

#[test]
fn a_configuration_that_no_master_confirms_is_gone_after_its_trial_and_after_a_restart() {
    let mut master = Master::new(&["--leave-max", "0"]);
    let push = |master: &mut Master, revision, text: &str| {
        let message = master.envelope(1, ToAgent::UpdateConfiguration { revision, text: text.into(), warrant: Warrant::default() });
        master.say(&message);
        master.hear(said_of_configuration(revision))
    };
    assert_eq!(push(&mut master, 1, "cores = 3"), ConfigurationOutcome::Applied);
    assert!(fs::read_to_string(master.path("agent/configuration.toml")).unwrap().contains("cores = 3"));
    let rolled_back = |message| said_of_configuration(1)(message).filter(|outcome| *outcome == ConfigurationOutcome::RolledBack);
    assert_eq!(master.hear(slots_of), 1, "what it says of itself once it went back");
    master.hear(rolled_back);
    assert_eq!(push(&mut master, 2, "cores = 4"), ConfigurationOutcome::Applied);
    master.restart_agent();
    let sync = master.envelope(1, ToAgent::SyncState);
    master.say(&sync);
    assert_eq!(master.hear(slots_of), 1, "a process that begins during a trial did not pass it");
    for evil in ["program = [\"sh\"]", "changeable = [\"cores\"]", "cores = 0", "peer = \"192.0.2.1:1\""] {
        assert!(matches!(push(&mut master, 3, evil), ConfigurationOutcome::Refused { .. }), "{evil}");
    }
    assert_eq!(fs::read_to_string(master.path("agent/configuration.toml")).unwrap(), "");
}

#[test]
fn the_disk_of_a_node_is_not_for_a_master_to_read() {
    let mut master = Master::new(&[]);
    fs::create_dir(master.path("tree")).unwrap();
    fs::write(master.path("tree/own.py"), "secret = 1\n").unwrap();
    fs::write(master.path("secret.py"), "secret = 2\n").unwrap();
    std::os::unix::fs::symlink("../secret.py", master.path("tree/link.py")).unwrap();
    let files = ["own.py", "link.py"].into_iter().flat_map(|name| [(name, false), (name, true)]);
    for (number, (name, isolated)) in (1..).zip(files) {
        let message = master.envelope(1, execute(number, analysis(&master, file(name, None), isolated)));
        master.say(&message);
        let output = master.hear(output_of(number));
        assert!(matches!(output.files[0].result, FileResult::Failed(FailReason::Vanished)), "{name}: {output:?}");
    }
}

#[test]
fn a_master_of_an_earlier_epoch_and_words_to_an_earlier_life_are_not_heard() {
    let mut master = Master::new(&[]);
    for life in 0..2_u32 {
        let first = life * 10;
        if life > 0 {
            // It has heard nothing but what its earlier life wrote down.
            master.restart_agent();
        } else {
            let message = master.envelope(7, execute(first, Work::Nothing));
            master.say(&message);
        }
        let to_an_earlier_life = Envelope { incarnation: Incarnation(3), ..master.envelope(7, execute(first + 2, Work::Nothing)) };
        let said = [
            master.envelope(6, execute(first + 1, Work::Nothing)),
            master.envelope(6, ToAgent::EmergencyShutdown { reason: "an old master is back".into() }),
            to_an_earlier_life,
            master.envelope(7, execute(first + 3, Work::Nothing)),
        ];
        said.iter().for_each(|message| master.say(message));
        let finished =
            |message: FromAgent| if let FromAgent::Finished { spark, .. } = message { Some(spark.number).filter(|number| *number != first) } else { None };
        assert_eq!(master.hear(finished), first + 3, "those between are not here");
        let held = master.hear(|message| if let FromAgent::Heartbeat { held, .. } = message { Some(held) } else { None });
        assert!(held.iter().all(|held| ![first + 1, first + 2].contains(&held.spark.number)), "{held:?}");
        assert!(!master.log().contains("an old master"), "{}", master.log());
    }
}

/// The first word about a blob, as masters say it.
#[derive(Serialize)]
enum Head {
    Bytes(u64),
}

#[test]
fn a_bomb_in_the_place_of_a_file_is_not_unpacked() {
    let mut master = Master::new(&[]);
    let wanted = blobs::digest(b"a file");
    // A part that says it unpacks to four gigabytes; one that is no part; a blob that is larger than any; another's bytes.
    let honest = [&6_u32.to_le_bytes(), b"\x60b file".as_slice()].concat();
    let parts: [(u64, Vec<u8>); 4] = [(1 << 20, vec![0xff; 1000]), (1 << 20, vec![0, 0, 8, 0, 0x1f, 0, 1, 0, 0xff]), (1 << 40, Vec::new()), (6, honest)];
    for (number, (bytes, part)) in (1..).zip(parts) {
        let message = master.envelope(1, execute(number, analysis(&master, file("a.py", Some(wanted)), false)));
        master.say(&message);
        let Master { runtime, connection, .. } = &mut master;
        runtime.block_on(async {
            let mut transfer = patiently(connection.link.accept_transfer()).await.unwrap();
            let asked = patiently(transfer.rx.receive()).await;
            assert!(matches!(&asked, Ok(Some(Received::Frame(frame))) if frame.kind == Kind::BlobWanted), "{asked:?}");
            transfer.tx.send(Kind::BlobHead, RequestId(1), &Head::Bytes(bytes)).await.unwrap();
            // It may have left by then.
            let _ = transfer.tx.send_raw(Kind::BlobPart, RequestId(1), part.into()).await;
            while let Ok(Some(_)) = patiently(transfer.rx.receive()).await {}
        });
        let failure = master.hear(failure_of(number));
        assert!(matches!(failure, AttemptError::Unsupplied(_)), "{failure:?}");
    }
}

#[test]
fn whoever_is_no_master_of_the_fleet_is_not_obeyed() {
    let fleet = Fleet::new();
    drop(fleet.join("one"));
    let own = authority_of(&fleet);
    // A worker of the same fleet, and a master of another one, where the agent looks for its own.
    let usurpers = [identity(&own, NodeId(99), Role::Worker), identity(&authority(), NodeId::HERE, Role::Master)];
    for usurper in usurpers {
        let runtime = runtime();
        let entered = runtime.enter();
        let (endpoint, mut listener) = listen(&usurper);
        drop(entered);
        let log = fleet.place.path("log");
        let mut agent = fleet.agent_of("one", &endpoint.local_address().unwrap().to_string());
        // Its own master would call it.
        agent.arg("--no-listen");
        let _agent = Process(agent.stderr(fs::File::create(&log).unwrap()).spawn().unwrap());
        let dialled = runtime.block_on(patiently(listener.accept())).unwrap();
        assert!(dialled.is_err(), "it left before it had said anything: {dialled:?}");
        until(|| fs::read_to_string(&log).unwrap().contains("no link to the master"));
    }
    let _one = fleet.restart("one");
    fleet.wait_for("one", "healthy");
}
