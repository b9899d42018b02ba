//! The links with a node of the tests' own at the other end.

mod storm;

use std::{
    net::Ipv4Addr,
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    time::SystemTime,
};

use bitacora_core::{
    ids::{Attempt, Epoch, Incarnation, JobId, SparkId},
    wire::task::AttemptError,
};
use fleet_agent::{
    link::Greeting,
    net::{carrier::Carrier, tls::NodeKey},
};

use super::{greeting::expect, *};
use crate::trust::{self, Safe, Trust};

const NODE: NodeId = NodeId(7);
const DEVICE: NodeId = NodeId(8);
/// Pairs of ports that are tried: the one after a free one may be taken.
const TRIES_MAX: usize = 20;

/// A master's links, and what they tell its loop, as fast as it takes it.
struct Master {
    links: Links,
    events: Receiver<LinkEvent>,
    trust: Trust,
    folder: tempfile::TempDir,
}

impl Master {
    fn new() -> Master {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::load_or_create(&Safe::new(folder.path().join("trust"), folder.path().join("keys")), SystemTime::now(), None).unwrap();
        let (links, events) = (0..TRIES_MAX).find_map(|_| open(&folder, &trust)).expect("two ports that follow one another are free");
        links.admit([NODE].into_iter(), std::iter::empty());
        Master { links, events, trust, folder }
    }

    /// The node, dialled in and welcomed.
    async fn node(&self, carrier: Carrier) -> (Endpoint, Connection) {
        self.dial(carrier, NODE, Role::Worker).await.expect("it belongs to the fleet")
    }

    /// Somebody with this certificate; `None` if it was shown the door.
    async fn dial(&self, carrier: Carrier, id: NodeId, role: Role) -> Option<(Endpoint, Connection)> {
        let key = NodeKey::generate().unwrap();
        let certificate = self.trust.authority.sign(&key.request().unwrap(), id, role.into(), trust::certificate_validity(SystemTime::now())).unwrap();
        let identity = Identity::new(key, certificate, self.trust.authority.certificate().clone()).unwrap();
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let endpoint = Endpoint::dialling(any, &identity, &ListenerKeys::fresh().unwrap(), Settings::default()).unwrap();
        let mut connection = endpoint.dial(carrier, self.links.address(), NodeId::HERE).await.unwrap();
        connection.tx.send(Kind::Hello, RequestId(1), &Greeting::default()).await.unwrap();
        match expect(&mut connection, Kind::Welcome).await {
            Ok(_) => Some((endpoint, connection)),
            Err(error) => {
                assert!(matches!(error, TransferError::Unexpected(Kind::Refused)), "{error}");
                None
            }
        }
    }
}

fn open(folder: &tempfile::TempDir, trust: &Trust) -> Option<(Links, Receiver<LinkEvent>)> {
    let (tell, events) = channel();
    let tell = Mutex::new(tell);
    let deliver: Deliver = Arc::new(move |event| tell.lock().unwrap().send(event).is_ok());
    let packs = Blobs::open(&folder.path().join("packs")).unwrap();
    let links = Links::open(
        (Ipv4Addr::LOCALHOST, 0).into(),
        &trust.identity,
        trust.authority.clone(),
        &trust.keys,
        Stores { logs: packs.clone(), packs, takes_packs: true },
        deliver,
    );
    links.ok().map(|links| (links, events))
}

fn says(number: u32, text: String) -> Envelope<FromAgent> {
    let (spark, attempt) = (SparkId { job: JobId::default(), number }, Attempt(1));
    Envelope { epoch: Epoch(1), incarnation: Incarnation(1), body: FromAgent::Failed { spark, attempt, error: AttemptError::Storage(text) } }
}

fn number(event: &LinkEvent) -> u32 {
    let LinkEvent::Received { message: Envelope { body: FromAgent::Failed { spark, .. }, .. }, .. } = event else { panic!("something else came") };
    spark.number
}

#[test]
fn a_node_that_floods_is_slowed_down_and_nothing_is_lost() {
    Carrier::ALL.into_iter().for_each(flood);
}

fn flood(carrier: Carrier) {
    const MESSAGES: u32 = 200;
    const MESSAGE_BYTES: usize = 1 << 20;
    let (master, text) = (Master::new(), "x".repeat(MESSAGE_BYTES));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_endpoint, Connection { link: _link, mut tx, rx: _rx }) = runtime.block_on(master.node(carrier));
    let flood = runtime.spawn(async move {
        for number in 0..MESSAGES {
            tx.send(Kind::FromAgent, RequestId(0), &says(number, text.clone())).await.unwrap();
        }
        tx
    });
    // As many as there is room for come while none is handled, and their sender is stuck with most of the rest.
    let room = inbox::messages_of(MESSAGE_BYTES + 100);
    assert!((2..50).contains(&room), "{room}");
    let mut waiting: Vec<LinkEvent> = (0..room).map(|_| master.events.recv().unwrap()).collect();
    assert!(!flood.is_finished());
    assert!(master.events.try_recv().is_err(), "there is no room for another one");
    // The loop goes on, one at a time.
    for expected in 0..MESSAGES {
        let event = waiting.remove(0);
        assert_eq!(number(&event), expected);
        drop(event);
        if expected + (room as u32) < MESSAGES {
            waiting.push(master.events.recv().unwrap());
            assert!(master.events.try_recv().is_err(), "one went, one came");
        }
    }
    drop(runtime.block_on(flood).unwrap());
    drop(master.folder);
}

#[test]
fn a_link_counts_from_the_first_word_on_it() {
    let master = Master::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_end, mut chosen) = master.node(Carrier::WebSocket).await;
        // Dialled later and given up before a word: the first one stays.
        let (_other_end, other) = master.node(Carrier::Quic).await;
        chosen.tx.send(Kind::FromAgent, RequestId(0), &says(1, String::new())).await.unwrap();
        assert_eq!(number(&master.events.recv().unwrap()), 1);
        drop(other);
        chosen.tx.send(Kind::FromAgent, RequestId(0), &says(2, String::new())).await.unwrap();
        assert_eq!(number(&master.events.recv().unwrap()), 2);
        // Dialled later and spoken on: now that is the link, and the first one is told so.
        let (_third_end, mut third) = master.node(Carrier::Quic).await;
        third.tx.send(Kind::FromAgent, RequestId(0), &says(3, String::new())).await.unwrap();
        assert_eq!(number(&master.events.recv().unwrap()), 3);
        let closed = chosen.link.closed().await;
        assert_eq!(closed.close_code(), Some(CloseCode::Replaced as u64), "{closed}");
    });
}

#[test]
fn the_link_of_a_silent_node_is_closed_and_it_may_come_back() {
    let master = Master::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_end, mut silent) = runtime.block_on(master.node(Carrier::Quic));
    runtime.block_on(silent.tx.send(Kind::FromAgent, RequestId(0), &says(1, String::new()))).unwrap();
    assert_eq!(number(&master.events.recv().unwrap()), 1);
    master.links.disconnect(NODE);
    let closed = runtime.block_on(silent.link.closed());
    assert_eq!(closed.close_code(), Some(CloseCode::Silent as u64), "{closed}");
    drop(runtime.block_on(master.node(Carrier::Quic)));
}

/// Asks on a stream of its own; what came back, whole.
async fn asked(connection: &Connection, request: &Request) -> Result<Option<Received>, CarrierError> {
    let mut transfer = connection.link.open_transfer().await?;
    transfer.tx.send(Kind::Asked, RequestId(1), request).await?;
    transfer.rx.receive().await
}

#[test]
fn a_nodes_certificate_opens_no_control_stream() {
    for carrier in Carrier::ALL {
        let master = Master::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let (_end, mut node) = master.node(carrier).await;
            node.tx.send(Kind::FromAgent, RequestId(0), &says(1, String::new())).await.unwrap();
            assert_eq!(number(&master.events.recv().unwrap()), 1);
            let answer = asked(&node, &Request::Nodes).await;
            assert!(!matches!(answer, Ok(Some(_))), "{answer:?}");
            // Whatever the loop was told came before this.
            node.tx.send(Kind::FromAgent, RequestId(0), &says(2, String::new())).await.unwrap();
            assert_eq!(number(&master.events.recv().unwrap()), 2, "and the loop was asked nothing");
        });
    }
}

#[test]
fn a_device_is_answered_by_the_loop_until_it_is_removed() {
    for carrier in Carrier::ALL {
        let master = Master::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        master.links.admit([NODE].into_iter(), [DEVICE].into_iter());
        let (_end, device) = runtime.block_on(master.dial(carrier, DEVICE, Role::OperatorView)).unwrap();
        let (answered, ()) = runtime.block_on(async {
            tokio::join!(asked(&device, &Request::Nodes), async {
                let event = blocking_event(&master).await;
                let LinkEvent::Asked { operator, roles, request: Request::Nodes, answer } = event else { panic!("something else came") };
                assert_eq!((operator, roles), (DEVICE, Role::OperatorView.into()));
                answer.send(Answer::Done).unwrap();
            })
        });
        let Ok(Some(Received::Frame(frame))) = answered else { panic!("{answered:?}") };
        assert_eq!((frame.kind, rmp_serde::from_slice(&frame.payload).ok()), (Kind::Answered, Some(Answer::Done)));
        // One that the ledger knows as a node is no device, whatever its certificate says.
        assert!(runtime.block_on(master.dial(carrier, NODE, Role::OperatorAdmin)).is_none());
        master.links.admit([NODE].into_iter(), std::iter::empty());
        master.links.disconnect(DEVICE);
        let closed = runtime.block_on(device.link.closed());
        assert_eq!(closed.close_code(), Some(CloseCode::NotPermitted as u64), "{closed}");
        assert!(runtime.block_on(master.dial(carrier, DEVICE, Role::OperatorView)).is_none());
    }
}

async fn blocking_event(master: &Master) -> LinkEvent {
    tokio::task::block_in_place(|| master.events.recv().unwrap())
}

/// A node is linked, and answers what it is asked with this; nothing, if it is silent. Does it stay when another one comes in its name?
fn stays(carrier: Carrier, answer: Option<Kind>) -> bool {
    // Beyond what a silent one is given.
    const PATIENCE: Duration = Duration::from_secs(6);
    let master = Master::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_one, Connection { link, mut tx, rx: _rx }) = master.node(carrier).await;
        tx.send(Kind::FromAgent, RequestId(0), &says(1, String::new())).await.unwrap();
        assert_eq!(number(&master.events.recv().unwrap()), 1);
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Ok(mut asked) = link.accept_transfer().await {
                let Ok(Some(Received::Frame(frame))) = asked.rx.receive().await else { continue };
                assert_eq!(frame.kind, Kind::Ping);
                match answer {
                    Some(kind) => asked.tx.send(kind, frame.request, "").await.unwrap(),
                    None => unanswered.push(asked),
                }
            }
        });
        let (_other, mut other) = master.node(carrier).await;
        other.tx.send(Kind::FromAgent, RequestId(0), &says(2, String::new())).await.unwrap();
        match tokio::time::timeout(PATIENCE, other.rx.receive()).await {
            Ok(Ok(Some(Received::Frame(frame)))) => {
                assert_eq!((frame.kind, master.events.try_recv().is_err()), (Kind::Refused, true));
                true
            }
            Ok(end) => panic!("{end:?}"),
            Err(_) => {
                assert_eq!(number(&master.events.recv().unwrap()), 2);
                false
            }
        }
    })
}

#[test]
fn of_two_links_of_one_node_the_one_that_answers_stays() {
    std::thread::scope(|scope| {
        for carrier in Carrier::ALL {
            for (answer, expected) in [(Some(Kind::Pong), true), (Some(Kind::Unsupported), true), (None, false)] {
                scope.spawn(move || assert_eq!(stays(carrier, answer), expected, "{carrier:?} {answer:?}"));
            }
        }
    });
}
