//! Nodes, and those who are none, that do to a real master what no honest node would: it stays, and nobody else notices.

use std::{
    fs,
    net::SocketAddr,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use bitacora_core::{
    ids::{Attempt, NodeId, SparkId},
    time::Span,
    wire::{
        FromAgent,
        message::Output,
        node::NodeProfile,
        task::{AttemptError, FileOutcome, FileResult, SkipReason, SparkOutput, Task, TaskFile, Work},
    },
};
use fleet_agent::{
    analysis,
    blobs::{self, Blobs},
    net::{
        codec::{HEADER_BYTES, Kind, MAGIC, MAJOR, MINOR, RequestId},
        tls::{self, Identity, Role},
        transfer::{self, BlobKind, Offered, TransferError},
    },
};
use quinn::crypto::rustls::QuicClientConfig;
use serde::Serialize;

use super::{
    fleet::{Fleet, Process, grow, outcome, place_of, until},
    puppet::{Node, authority, authority_of, dial, frame, identity, patiently, runtime},
    support::report,
};

/// What a master may take of memory above what it had, whoever wants more. Its own queues have their limits far below.
const MEMORY_BYTES_MAX: u64 = 96 << 20;

/// A line of what the system says of a process, in bytes: `VmRSS` is what it has, `VmHWM` the most that it ever had.
fn memory(fleet: &Fleet, line: &str) -> u64 {
    let process = fleet.master.as_ref().unwrap().0.id();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let kib = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    kib.unwrap().trim().parse::<u64>().unwrap() << 10
}

#[test]
fn what_nodes_say_and_files_are_called_steers_no_terminal() {
    let fleet = Fleet::new();
    let one = place_of(&fleet, "one");
    let evil = |text: &str| format!("{text}\x1b[2J\x1b]0;x\x07\u{9b}31m\r\u{202e}");
    let (evil_label, evil_program) = ([(evil("k"), evil("v"))].into(), evil("p"));
    let profile =
        NodeProfile { host: evil("h"), os: evil("o"), arch: evil("a"), version: evil("v"), build: evil("b"), labels: evil_label, ..NodeProfile::default() };
    fleet.place.write(&evil("name"), "def f(): pass\n");
    fleet.place.write(&format!("{}.py", evil("name")), "def f(): pass\n");
    runtime().block_on(async {
        let mut node = Node::link(&fleet, &one).await;
        node.say_hello(&["sh", &evil_program], profile).await;
        until(|| fleet.node("one")["linked"] == true);
        let begun = fleet.place.run(&["spark", "run", "--detach", "--tries", "1", "--", "sh", "-c", &evil("c")]);
        assert_eq!(begun.status.code(), Some(0), "{begun:?}");
        let task = node.task().await;
        let (spark, attempt) = (task.spark, task.attempt);
        node.say(FromAgent::Unsupported { command: evil("command") }).await;
        node.say(FromAgent::Failed { spark, attempt, error: AttemptError::Refused(evil("reason")) }).await;
        until(|| fleet.jobs()[0]["status"] == "failed");
        assert_eq!(fleet.node("one")["unsupported"], 1);
        let (job, spark) = (spark.job.to_string(), spark.to_string());
        let tree = fleet.place.tree();
        // Nobody is there to analyse it on: it is done by itself.
        let listing = fleet.place.path("listing");
        let alone = |format: &str| ["--data-dir", listing.to_str().unwrap(), "analyze", tree.to_str().unwrap(), "-o", format].map(str::to_owned);
        let mut shown: Vec<Vec<String>> = ["table", "wide", "plain"].map(alone).map(Vec::from).into();
        for words in [
            &["node", "ls"][..],
            &["node", "show", "one"],
            &["job", "show", &job],
            &["spark", "show", &spark],
            &["spark", "ls", "--job", &job],
            &["events"],
            &["audit", "ls"],
        ] {
            for format in ["table", "plain"] {
                shown.push([words, &["-o", format]].concat().iter().map(ToString::to_string).collect());
            }
        }
        shown.push(["job", "explain", &job].map(str::to_owned).into());
        for arguments in shown {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = if words[0] == "--data-dir" {
                std::process::Command::new(env!("CARGO_BIN_EXE_bitacora")).args(&words).output().unwrap()
            } else {
                fleet.place.run(&words)
            };
            assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            let steers = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
            assert!(!said.is_empty() && !said.chars().any(steers), "{words:?}: {said:?}");
        }
    });
}

#[test]
fn answers_to_what_was_not_asked_change_nothing() {
    let fleet = Fleet::new();
    grow(&fleet.place);
    let one = place_of(&fleet, "one");
    assert_eq!(fleet.place.run(&["node", "cordon", "one"]).status.code(), Some(0));
    let _two = fleet.join("two");
    let expected = fleet.local();
    let analysis = fleet.begin();
    until(|| fleet.sparks_done() > 0);
    let job = fleet.jobs()[0]["id"].as_str().unwrap().parse().unwrap();
    let heard = runtime().block_on(async {
        let mut node = Node::link(&fleet, &one).await;
        node.say_hello(&[], NodeProfile::default()).await;
        // Of each spark that there may be, whoever has it: that it failed, that nothing is in it, and what it printed.
        for round in 0..20 {
            for number in 0..64 {
                let (spark, attempt) = (SparkId { job, number }, Attempt(1 + round % 2));
                node.say(FromAgent::Failed { spark, attempt, error: AttemptError::Crashed("a lie".into()) }).await;
                node.say(FromAgent::Finished { spark, attempt, output: SparkOutput::default(), took: Span(1) }).await;
                node.say(FromAgent::Output(Output { spark, attempt, offset: 0, bytes: b"a lie".to_vec() })).await;
            }
        }
        assert_eq!(fleet.jobs()[0]["status"], "running", "all of it was said in the middle of the job");
        outcome(&analysis.wait_with_output().unwrap())
    });
    assert_eq!(heard, expected);
    assert_eq!((&fleet.node("two")["failed"], &fleet.node("one")["finished"]), (&0.into(), &0.into()));
}

/// The first word about a blob, as nodes say it.
#[derive(Serialize)]
enum Head {
    Bytes(u64),
}

#[test]
fn a_bomb_in_the_place_of_a_pack_is_not_unpacked() {
    let fleet = Fleet::new();
    let one = place_of(&fleet, "one");
    let before = memory(&fleet, "VmRSS");
    runtime().block_on(async {
        let mut node = Node::link(&fleet, &one).await;
        node.say_hello(&[], NodeProfile::default()).await;
        let parts: [(u64, Vec<u8>); 4] = [
            // Says that it unpacks to four gigabytes; is larger than any pack; is no part; is no pack.
            (1 << 20, vec![0xff; 1000]),
            (1 << 40, Vec::new()),
            (1 << 20, vec![0, 0, 8, 0, 0x1f, 0, 1, 0, 0xff]),
            (6, [&6_u32.to_le_bytes(), b"\x60a file".as_slice()].concat()),
        ];
        for (bytes, part) in parts {
            let mut transfer = patiently(node.connection.link.open_transfer()).await.unwrap();
            let offered = Offered { name: blobs::digest(b"a file"), kind: BlobKind::Pack };
            transfer.tx.send(Kind::BlobOffered, RequestId(1), &offered).await.unwrap();
            patiently(transfer::expect(&mut transfer, Kind::BlobWanted)).await.unwrap();
            transfer.tx.send(Kind::BlobHead, RequestId(1), &Head::Bytes(bytes)).await.unwrap();
            // It may have left by then.
            let _ = transfer.tx.send_raw(Kind::BlobPart, RequestId(1), part.into()).await;
            let answered = patiently(transfer::expect(&mut transfer, Kind::BlobKept)).await;
            assert!(answered.is_err(), "{bytes}: {answered:?}");
        }
        assert_eq!(fleet.node("one")["linked"], true, "the link is as it was");
    });
    assert!(memory(&fleet, "VmHWM") < before + MEMORY_BYTES_MAX);
    let packs = Blobs::open(&fleet.place.data().join("packs")).unwrap();
    assert!(!packs.path(blobs::digest(b"a file")).exists(), "nothing of it was kept");
}

#[test]
fn a_node_is_given_what_lies_in_the_tree_and_nothing_that_a_link_leads_to() {
    let fleet = Fleet::new();
    let one = place_of(&fleet, "one");
    let (inside, outside) = ("def inside(): pass\n", "def outside(): pass\n");
    fleet.place.write("a/inside.py", inside);
    fleet.place.write("a/moved.py", outside);
    let elsewhere = fleet.place.path("elsewhere.py");
    let mut analysis = fleet.begin();
    runtime().block_on(async {
        let mut node = Node::link(&fleet, &one).await;
        node.say_hello(&[], NodeProfile::default()).await;
        let Work::Analyse(task) = node.task().await.work else { panic!("it has files to analyse") };
        assert_eq!(task.files.len(), 2);
        // The same bytes are outside of the tree now, and a link in it leads to them.
        fs::rename(fleet.place.tree().join("a/moved.py"), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, fleet.place.tree().join("a/moved.py")).unwrap();
        let names = [blobs::digest(inside.as_bytes()), blobs::digest(outside.as_bytes())];
        let mut given = Vec::new();
        patiently(transfer::fetch(&node.connection.link, &names, |_, blob| given.push(blob))).await.unwrap();
        assert_eq!(given, [Some(inside.as_bytes().to_vec()), None]);
        // What the master has besides is nobody's to ask for.
        let secret = fs::read(fleet.place.data().join("trust/authority.sealed")).unwrap();
        let asked = patiently(transfer::fetch(&node.connection.link, &[blobs::digest(&secret)], |_, _| ())).await;
        assert!(matches!(asked, Err(TransferError::Unknown(_))), "{asked:?}");
    });
    analysis.kill().unwrap();
    analysis.wait().unwrap();
}

/// The answer of a node that looks into no file.
fn answer(task: &Task, reason: SkipReason) -> FromAgent {
    let Work::Analyse(analysis) = &task.work else { panic!("it has files to analyse") };
    let outcome = |file: &TaskFile| FileOutcome { index: file.index, stat: None, result: FileResult::Skipped(reason) };
    let output = SparkOutput { files: analysis.files.iter().map(outcome).collect(), ..SparkOutput::default() };
    FromAgent::Finished { spark: task.spark, attempt: task.attempt, output, took: Span::from_millis(1) }
}

/// A fleet of two, a tree of two files, and its analysis as a spark each.
fn begun_for_two() -> (Fleet, [Identity; 2], Child) {
    let fleet = Fleet::new();
    let nodes = ["one", "two"].map(|name| place_of(&fleet, name));
    fleet.place.write("a.py", "def a(): pass\n");
    fleet.place.write("b.c", "int b(void) { return 1; }\n");
    let begun = fleet.begin_with(&["--partition", "by-language"]);
    (fleet, nodes, begun)
}

/// Both answer for one of the sparks, each in its own way.
async fn differ(fleet: &Fleet, [one, two]: &[Identity; 2]) -> [Node; 2] {
    let mut first = Node::link(fleet, one).await;
    let (held, programs, profile) = (Vec::new(), Vec::new(), Box::default());
    first.say(FromAgent::Hello { slots: 2, fingerprint: analysis::fingerprint(), held, programs, profile }).await;
    let given = [first.task().await, first.task().await];
    // It takes its time, and another one is asked for one of them as well.
    let mut second = Node::link(fleet, two).await;
    second.say_hello(&[], NodeProfile::default()).await;
    let copy = second.task().await;
    let (slow, other) = if given[0].spark == copy.spark { (&given[0], &given[1]) } else { (&given[1], &given[0]) };
    assert_eq!((slow.spark, slow.attempt.0 + 1), (copy.spark, copy.attempt.0));
    second.say(answer(&copy, SkipReason::Binary)).await;
    until(|| fleet.sparks_done() == 1);
    first.say(answer(slow, SkipReason::Minified)).await;
    first.say(answer(other, SkipReason::Generated)).await;
    [first, second]
}

#[test]
fn what_two_nodes_differed_over_is_analysed_anew_whatever_was_found_of_it() {
    let (fleet, nodes, begun) = begun_for_two();
    runtime().block_on(async {
        let [mut first, _second] = differ(&fleet, &nodes).await;
        let disputed = report(&begun.wait_with_output().unwrap(), 3)["errors"][0]["path"].as_str().unwrap().to_owned();
        assert_eq!(fleet.place.run(&["node", "cordon", "two"]).status.code(), Some(0));
        // Records of both contents are here, as when either of them had delivered its own.
        fleet.local();
        let (found, packs) = (Blobs::open(&fleet.place.path("alone/packs")).unwrap(), Blobs::open(&fleet.place.data().join("packs")).unwrap());
        let found: Vec<Vec<u8>> = found.list().unwrap().into_iter().map(|(name, _)| found.read(name).unwrap()).collect();
        assert!(!found.is_empty());
        for pack in &found {
            packs.write(pack).unwrap();
        }
        let copy = format!("copy-{disputed}");
        fs::copy(fleet.place.tree().join(&disputed), fleet.place.tree().join(&copy)).unwrap();
        let begun = fleet.begin_with(&["--partition", "by-language"]);
        let task = first.task().await;
        let Work::Analyse(analysis) = &task.work else { panic!("it has files to analyse") };
        let mut paths: Vec<String> = analysis.files.iter().map(|file| String::from_utf8(file.path.as_bytes().to_vec()).unwrap()).collect();
        paths.sort();
        assert_eq!((analysis.use_cache, &paths), (false, &[disputed, copy].to_vec()));
        first.say(answer(&task, SkipReason::Minified)).await;
        let report = report(&begun.wait_with_output().unwrap(), 0);
        assert_eq!(super::support::reason(&report, "skipped", &paths[0]), Some("minified"), "{report}");
    });
}

#[test]
fn two_nodes_that_say_different_things_of_the_same_bytes_are_both_named() {
    let (fleet, nodes, begun) = begun_for_two();
    runtime().block_on(async {
        let _nodes = differ(&fleet, &nodes).await;
        let report = report(&begun.wait_with_output().unwrap(), 3);
        let errors = report["errors"].as_array().unwrap();
        assert_eq!((errors.len(), &errors[0]["reason"]), (1, &"conflict: two results for it differ".into()), "{report}");
        assert_eq!(report["skipped"][0]["reason"], "generated", "the rest completes");
        let job = fleet.jobs()[0]["id"].as_str().unwrap().to_owned();
        let told = format!("two and one differ over {}", errors[0]["path"].as_str().unwrap());
        let explained = String::from_utf8(fleet.place.run(&["job", "explain", &job]).stdout).unwrap();
        assert!(explained.contains(&told), "{explained}");
        let sparks = super::support::report(&fleet.place.run(&["job", "show", &job, "-o", "json"]), 0);
        assert!(sparks["items"].as_array().unwrap().iter().any(|spark| spark["disputed"] == told), "{sparks}");
    });
}

/// Dials by QUIC alone, and says what the protocol does not know.
fn quinn_client(tls: impl TryInto<QuicClientConfig, Error: std::fmt::Debug>) -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls.try_into().unwrap())));
    endpoint
}

#[test]
fn oversized_unfinished_and_foreign_beginnings_are_sent_away() {
    let fleet = Fleet::new();
    let one = place_of(&fleet, "one");
    let before = memory(&fleet, "VmRSS");
    let _two = fleet.join("two");
    let header = |length: u32| [&MAGIC[..], &[1, 0, Kind::Hello.number(), 0], &length.to_le_bytes(), &[0; 8]].concat();
    assert_eq!(header(0).len(), HEADER_BYTES);
    let beginnings = [header(u32::MAX), header(Kind::Hello.bytes_max() + 1), header(100), MAGIC[..2].to_vec(), b"GET / HTTP/1.1\r\n\r\n".to_vec()];
    runtime().block_on(async {
        let client = quinn_client(tls::client_config(&one).unwrap());
        let mut begun = Vec::new();
        for beginning in beginnings {
            let connecting = client.connect(fleet.address.parse().unwrap(), &tls::node_name(NodeId::HERE)).unwrap();
            let connection = patiently(connecting).await.unwrap();
            let (mut tx, rx) = connection.open_bi().await.unwrap();
            tx.write_all(&beginning).await.unwrap();
            begun.push((connection, tx, rx));
        }
        for (connection, ..) in &begun {
            patiently(connection.closed()).await;
        }
    });
    assert_eq!(fleet.node("two")["health"], "healthy", "nobody else was sent away");
    assert!(memory(&fleet, "VmHWM") < before + MEMORY_BYTES_MAX);
}

#[test]
fn whoever_speaks_another_major_is_told_both_versions() {
    let fleet = Fleet::new();
    let one = place_of(&fleet, "one");
    runtime().block_on(async {
        let client = quinn_client(tls::client_config(&one).unwrap());
        let connecting = client.connect(fleet.address.parse().unwrap(), &tls::node_name(NodeId::HERE)).unwrap();
        let connection = patiently(connecting).await.unwrap();
        let (mut tx, mut rx) = connection.open_bi().await.unwrap();
        tx.write_all(&[&MAGIC[..], &[9, 4, Kind::Hello.number(), 0], &[0; 12]].concat()).await.unwrap();
        let mut answer = [0; 256];
        let read = patiently(rx.read(&mut answer)).await.unwrap().unwrap();
        let (header, reason) = answer[..read].split_at(HEADER_BYTES);
        assert_eq!(header[..7], [&MAGIC[..], &[MAJOR, MINOR, Kind::Refused.number()]].concat(), "in the header, for whoever reads no more");
        let reason = String::from_utf8_lossy(reason).into_owned();
        assert!(reason.contains("protocol 9.4") && reason.contains(&format!("this is {MAJOR}.{MINOR}")), "{reason}");
    });
    until(|| {
        let records = report(&fleet.place.run(&["audit", "ls", "-o", "json"]), 0);
        records["items"].as_array().unwrap().iter().any(|record| record["action"] == "connections-refused" && record.to_string().contains("version"))
    });
}

#[test]
fn a_certificate_that_permits_no_work_is_shown_the_door() {
    let fleet = Fleet::new();
    let (one, own) = (place_of(&fleet, "one"), authority_of(&fleet));
    let node = one.peer().node;
    runtime().block_on(async {
        for roles in [Role::OperatorView, Role::OperatorAdmin] {
            let (_endpoint, connection) = dial(&fleet, &identity(&own, node, roles)).await;
            assert_eq!(frame(&mut connection.unwrap()).await.kind, Kind::Refused, "{roles:?}");
        }
        // Signed by the right authority, for a node that nobody has paired.
        let (_endpoint, connection) = dial(&fleet, &identity(&own, NodeId(1 << 40), Role::Worker)).await;
        assert_eq!(frame(&mut connection.unwrap()).await.kind, Kind::Refused);
        let welcomed = Node::link(&fleet, &identity(&own, node, Role::Worker)).await;
        drop(welcomed);
    });
}

/// Handshakes of strangers, so many at the same time.
const HANDSHAKES: usize = 10_000;
const AT_ONCE: usize = 64;

#[test]
fn ten_thousand_handshakes_of_strangers_leave_the_master_answering() {
    let fleet = Fleet::new();
    let one = place_of(&fleet, "one");
    let before = memory(&fleet, "VmRSS");
    // Trusts the fleet's authority, and shows another's certificate.
    let mut tls = tls::client_config(&one).unwrap();
    tls.client_auth_cert_resolver = tls::client_config(&identity(&authority(), one.peer().node, Role::Worker)).unwrap().client_auth_cert_resolver;
    let address: SocketAddr = fleet.address.parse().unwrap();
    let runtime = runtime();
    let entered = runtime.enter();
    let client = quinn_client(tls);
    drop(entered);
    let (begun, is_over) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let flood = {
        let begun = begun.clone();
        async move {
            let mut strangers = tokio::task::JoinSet::new();
            for _ in 0..AT_ONCE {
                let (client, begun) = (client.clone(), begun.clone());
                strangers.spawn(async move {
                    while begun.fetch_add(1, Ordering::Relaxed) < HANDSHAKES {
                        // TLS 1.3 lets it believe that it is connected, for a moment.
                        if let Ok(connection) = client.connect(address, &tls::node_name(NodeId::HERE)).unwrap().await {
                            let end = connection.closed().await;
                            assert!(!matches!(end, quinn::ConnectionError::ApplicationClosed(_) | quinn::ConnectionError::LocallyClosed), "{end:?}");
                        }
                    }
                });
            }
            strangers.join_all().await;
        }
    };
    thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut answers = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(fleet.nodes().len(), 1);
                answers += 1;
            }
            answers
        });
        // One who is of the fleet comes in the middle of it.
        let honest = scope.spawn(|| {
            until(|| begun.load(Ordering::Relaxed) > HANDSHAKES / 10);
            let agent: Process = fleet.restart("one");
            fleet.wait_for("one", "healthy");
            assert!(begun.load(Ordering::Relaxed) < HANDSHAKES, "it was let in before the end of it");
            agent
        });
        runtime.block_on(flood);
        is_over.store(true, Ordering::Relaxed);
        assert!(asked.join().unwrap() > 0);
        drop(honest.join().unwrap());
    });
    assert!(memory(&fleet, "VmHWM") < before + MEMORY_BYTES_MAX, "{} after {before}", memory(&fleet, "VmHWM"));
    let records = report(&fleet.place.run(&["audit", "ls", "-o", "json"]), 0);
    assert!(records["items"].as_array().unwrap().iter().any(|record| record["action"] == "connections-refused"), "{records}");
}

#[test]
fn a_cloned_identity_is_refused_and_it_is_in_the_audit() {
    for carrier in ["quic", "websocket"] {
        // The audit counts what follows within minutes together.
        clone_over(&Fleet::new(), carrier);
    }
}

fn clone_over(fleet: &Fleet, carrier: &str) {
    let (name, copy) = ("one", "copy");
    // A life of the node's identity from one of the two folders, told from others by a label of its own.
    let begin = |folder: &str, life: &str| Process(fleet.agent(folder).args(["--carrier", carrier, "--label", &format!("life={life}")]).spawn().unwrap());
    let is_linked = |life: &str| {
        let node = fleet.node(name);
        node["linked"] == true && node["labels"]["life"] == life
    };
    let is_sent_away = |mut process: Process| {
        until(|| process.0.try_wait().unwrap().is_some());
        process.ended() == Some(4)
    };
    let is_audited = || {
        let records = report(&fleet.place.run(&["audit", "ls", "-o", "json"]), 0);
        records["items"].as_array().unwrap().iter().any(|record| record["subject"].as_str().is_some_and(|subject| subject.contains("second-life")))
    };
    fleet.join_with(name, &["--carrier", carrier]).terminate();
    let copied = std::process::Command::new("cp").arg("-r").args([fleet.folder(name), fleet.folder(copy)]).status().unwrap();
    assert!(copied.success());
    let first = begin(name, "first");
    until(|| is_linked("first"));
    // A life that follows another is no copy, though nobody told the master that the one before it ended.
    drop(first);
    let mut second = begin(name, "second");
    until(|| is_linked("second"));
    assert!(!is_audited());
    assert!(is_sent_away(begin(copy, "copied")) && is_sent_away(begin(copy, "again")), "the one that was paired is linked");
    until(is_audited);
    assert!(is_linked("second") && second.0.try_wait().unwrap().is_none());
    // A folder that was moved goes on where it is now.
    second.terminate();
    let _moved = begin(copy, "moved");
    until(|| is_linked("moved"));
    assert!(is_sent_away(begin(name, "third")));
}
