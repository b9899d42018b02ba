//! Nodes and masters on loopback, honest and otherwise.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use quinn::ConnectionError;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{master::pair_over, proof::Side, *};
use crate::net::{
    carrier::{Carrier, CloseCode, Stranger},
    join::Grant,
    quic::bind,
    strangers::{Dialled, StrangerListener},
    tls::{
        Authority, Identity, NodeKey, Role,
        tests::{authority, today},
    },
};

/// Ends a test that hangs; no assertion depends on it.
const TEST_MAX: Duration = Duration::from_secs(60);
/// For a port that is free for UDP and for TCP.
const TRIES_MAX: usize = 20;
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Nothing is waited for but what the test is about.
fn at_once() -> Rules {
    Rules { pause: Duration::ZERO, long_pause: Duration::ZERO, ..Rules::default() }
}

/// A node that waits to be paired, and what it showed and logged.
struct Node {
    address: SocketAddr,
    codes: mpsc::UnboundedReceiver<PairingCode>,
    log: mpsc::UnboundedReceiver<Trouble>,
    paired: JoinHandle<Result<Identity, PairError>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.paired.abort();
    }
}

impl Node {
    fn open(rules: Rules) -> Node {
        let listener = PairListener::open(LOOPBACK, "ada".into(), NodeKey::generate().unwrap(), rules).unwrap();
        let address = listener.local_address().unwrap();
        let ((shown, codes), (told, log)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let paired = tokio::spawn(async move {
            let admission = listener.paired(|code| shown.send(code.clone()).unwrap(), |trouble| told.send(trouble).unwrap()).await?;
            let identity = admission.identity.clone();
            admission.keep().await;
            Ok(identity)
        });
        Node { address, codes, log, paired }
    }

    async fn code(&mut self) -> PairingCode {
        timeout(TEST_MAX, self.codes.recv()).await.expect("the test hangs").unwrap()
    }

    async fn identity(&mut self) -> Identity {
        timeout(TEST_MAX, &mut self.paired).await.expect("the test hangs").unwrap().unwrap()
    }
}

/// A fleet that takes whoever knows the code, and remembers how it is called.
struct Fleet {
    authority: Authority,
    admitted: Mutex<Vec<String>>,
}

impl Fleet {
    fn new() -> Fleet {
        Fleet { authority: authority(), admitted: Mutex::default() }
    }

    async fn pair(&self, address: SocketAddr, code: &PairingCode) -> Result<Paired, PairError> {
        timeout(TEST_MAX, pair(&[address], code, &self.authority, self)).await.expect("the test hangs")
    }

    fn admitted(&self) -> Vec<String> {
        self.admitted.lock().unwrap().clone()
    }
}

impl Admissions for Fleet {
    async fn admit(&self, name: String, _: SocketAddr) -> Option<Grant> {
        self.admitted.lock().unwrap().push(name);
        Some(Grant { node: NodeId(42), roles: Role::Worker.into(), validity: today() })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        vec!["192.168.7.7:7411".parse().unwrap()]
    }
}

fn wrong(code: &PairingCode) -> PairingCode {
    let other = |digit| format!("{digit}{}", &code.to_string()[1..]).parse().unwrap();
    [other('0'), other('1')].into_iter().find(|other| other != code).unwrap()
}

fn refusal(paired: Result<Paired, PairError>) -> Refusal {
    match paired {
        Err(PairError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_right_code_makes_a_node_one_of_the_fleet() {
    for carrier in Carrier::ALL {
        let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
        let code = node.code().await;
        let paired = timeout(TEST_MAX, pair_over(&[carrier], &[node.address], &code, &fleet.authority, &fleet)).await.expect("the test hangs").unwrap();
        assert_eq!(paired, Paired { node: NodeId(42), address: node.address });
        let identity = node.identity().await;
        assert_eq!((identity.peer().node, identity.peer().roles), (NodeId(42), Role::Worker.into()));
        assert_eq!(identity.authority_fingerprint(), fleet.authority.fingerprint());
        assert_eq!(fleet.admitted(), ["ada"]);
    }
}

#[tokio::test]
async fn where_udp_leads_nowhere_a_node_is_paired_over_tcp() {
    let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    // The same TCP port, behind a UDP port that swallows everything.
    let relay = tokio::net::TcpListener::bind(LOOPBACK).await.unwrap();
    let front = relay.local_addr().unwrap();
    let (deaf, behind) = (std::net::UdpSocket::bind(front).unwrap(), node.address);
    let carried = tokio::spawn(async move {
        let (mut here, _) = relay.accept().await.unwrap();
        let mut there = tokio::net::TcpStream::connect(behind).await.unwrap();
        // However it ends, what was paired is what counts.
        let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
    });
    assert_eq!(fleet.pair(front, &code).await.unwrap(), Paired { node: NodeId(42), address: front });
    node.identity().await;
    let mut datagram = [0; 2048];
    deaf.set_nonblocking(true).unwrap();
    assert!(deaf.recv(&mut datagram).is_ok(), "QUIC was tried first");
    carried.abort();
}

#[tokio::test]
async fn a_node_hears_where_its_master_listens_and_from_where_it_dialled() {
    let listener = PairListener::open(LOOPBACK, "ada".into(), NodeKey::generate().unwrap(), at_once()).unwrap();
    let (address, fleet) = (listener.local_address().unwrap(), Fleet::new());
    let (shown, mut codes) = mpsc::unbounded_channel();
    let pairing = async {
        let code = codes.recv().await.unwrap();
        fleet.pair(address, &code).await
    };
    let waiting = async {
        let admission = listener.paired(|code| shown.send(code.clone()).unwrap(), |_| {}).await.unwrap();
        let heard = (admission.told.clone(), admission.from.ip());
        admission.keep().await;
        heard
    };
    let (paired, heard) = tokio::join!(pairing, waiting);
    paired.unwrap();
    assert_eq!(heard, (fleet.addresses(), Ipv4Addr::LOCALHOST.into()));
}

#[tokio::test]
async fn three_wrong_codes_kill_the_right_one_and_a_new_one_is_shown() {
    let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    for tries_left in [2, 1, 0] {
        assert_eq!(refusal(fleet.pair(node.address, &wrong(&code)).await), Refusal::Wrong { tries_left });
        assert!(matches!(node.log.recv().await, Some(Trouble::WrongCode { tries_left: logged, .. }) if logged == tries_left));
    }
    let next = node.code().await;
    assert_ne!(next, code);
    assert_eq!(refusal(fleet.pair(node.address, &code).await), Refusal::Wrong { tries_left: 2 }, "the first one is dead");
    assert!(fleet.admitted().is_empty());
    fleet.pair(node.address, &next).await.unwrap();
}

#[tokio::test]
async fn two_wrong_codes_leave_a_third_try() {
    let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    for _ in 0..2 {
        refusal(fleet.pair(node.address, &wrong(&code)).await);
    }
    fleet.pair(node.address, &code).await.unwrap();
}

#[tokio::test]
async fn after_a_wrong_code_the_next_try_has_to_wait() {
    let (mut node, fleet) = (Node::open(Rules { pause: TEST_MAX, ..Rules::default() }), Fleet::new());
    let code = node.code().await;
    refusal(fleet.pair(node.address, &wrong(&code)).await);
    assert!(matches!(refusal(fleet.pair(node.address, &code).await), Refusal::NotNow { .. }));
    assert!(fleet.admitted().is_empty());
}

#[tokio::test]
async fn an_expired_code_is_worth_nothing() {
    let (mut node, fleet) = (Node::open(Rules { code_max: Duration::from_millis(300), ..at_once() }), Fleet::new());
    let code = node.code().await;
    // Shown because the first one has expired.
    node.code().await;
    assert!(matches!(refusal(fleet.pair(node.address, &code).await), Refusal::Wrong { .. } | Refusal::Over));
    assert!(fleet.admitted().is_empty());
}

#[tokio::test]
async fn a_node_that_is_paired_refuses_a_second_master() {
    let (mut node, one) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    // A second master has shaken hands, and knows the code, before the first one is done.
    let mut hand = Hand::dial(node.address, Carrier::Quic).await;
    let keys = hand.keys(&code).await;
    one.pair(node.address, &code).await.unwrap();
    let confirm = Message::Confirm { proof: Octets(keys.knows().as_bytes().to_vec()) };
    let answered = match hand.say(&confirm).await {
        Ok(()) => hand.hear().await,
        Err(error) => Err(error),
    };
    let is_closed =
        |error: &CarrierError| matches!(error, CarrierError::Lost(ConnectionError::ApplicationClosed(close)) if close.error_code == CloseCode::Stopping.into());
    match answered {
        Err(PairError::Refused(Refusal::Taken | Refusal::Over)) => {}
        Err(PairError::Carrier(error)) => assert!(is_closed(&error), "{error:?}"),
        other => panic!("{other:?}"),
    }
    node.identity().await;
    let second = Fleet::new();
    assert!(matches!(second.pair(node.address, &code).await, Err(PairError::Unreachable(_))), "nobody listens any more");
}

/// A master that speaks the protocol by hand.
struct Hand(Dialled);

impl Hand {
    async fn dial(address: SocketAddr, carrier: Carrier) -> Hand {
        Hand(strangers::dial(address, carrier, stranger::client().unwrap(), "pair.bitacora.internal", &terms()).await.unwrap())
    }

    async fn say(&mut self, message: &Message) -> Result<(), PairError> {
        send(&mut self.0.stranger.stream, message).await
    }

    async fn hear(&mut self) -> Result<Message, PairError> {
        receive(&mut self.0.stranger.stream).await
    }

    async fn keys(&mut self, code: &PairingCode) -> proof::Keys {
        let (half, point) = proof::begin(Side::Master, code, &self.0.stranger.material);
        self.say(&Message::Begin { point: Octets(point) }).await.unwrap();
        let Ok(Message::Point { point }) = self.hear().await else { panic!("the node answers with its point") };
        half.finish(&point.0).unwrap()
    }

    /// The node ends it without a word of its own.
    async fn is_left(&mut self) -> bool {
        let received = timeout(TEST_MAX, self.0.stranger.stream.rx.receive()).await.expect("the test hangs");
        matches!(received, Ok(None) | Err(CarrierError::Lost(_) | CarrierError::Over(_) | CarrierError::Abandoned(_)))
    }
}

#[tokio::test]
async fn somebody_in_the_middle_of_two_sessions_is_refused() {
    for (to_master, to_agent) in [(Carrier::Quic, Carrier::Quic), (Carrier::WebSocket, Carrier::WebSocket), (Carrier::WebSocket, Carrier::Quic)] {
        let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
        let code = node.code().await;
        let (mut middle, address) = (listen(), node.address);
        let front = middle.local_address().unwrap();
        // Carries every message from one session to the other, unchanged.
        let relay = tokio::spawn(async move {
            let (mut master, mut agent) = (middle.accept().await.unwrap().unwrap(), Hand::dial(address, to_agent).await);
            for _ in 0..2 {
                let said = receive(&mut master.stream).await.unwrap();
                agent.say(&said).await.unwrap();
                match agent.hear().await {
                    Ok(answer) => send(&mut master.stream, &answer).await.unwrap(),
                    Err(PairError::Refused(refusal)) => send(&mut master.stream, &Message::Refused(refusal)).await.unwrap(),
                    Err(error) => panic!("{error:?}"),
                }
            }
            let _ = receive(&mut master.stream).await;
        });
        let paired = timeout(TEST_MAX, pair_over(&[to_master], &[front], &code, &fleet.authority, &fleet)).await.expect("the test hangs");
        assert_eq!(refusal(paired), Refusal::Wrong { tries_left: 2 }, "the code was right, the session was not");
        assert!(fleet.admitted().is_empty());
        relay.await.unwrap();
    }
}

fn listen() -> StrangerListener {
    let open = || StrangerListener::open(LOOPBACK, stranger::server(&NodeKey::generate().unwrap()).unwrap(), terms()).ok();
    (0..TRIES_MAX).find_map(|_| open()).expect("some port is free for both")
}

#[tokio::test]
async fn a_node_that_does_not_know_the_code_is_not_taken() {
    let fleet = Fleet::new();
    let mut listener = listen();
    let address = listener.local_address().unwrap();
    let rogue = tokio::spawn(async move {
        let Stranger { stream, material, .. } = &mut listener.accept().await.unwrap().unwrap();
        let (half, point) = proof::begin(Side::Agent, &"0000-0000".parse().unwrap(), material);
        let Message::Begin { point: theirs } = receive(stream).await.unwrap() else { panic!() };
        let keys = half.finish(&theirs.0).unwrap();
        send(stream, &Message::Point { point: Octets(point) }).await.unwrap();
        receive(stream).await.unwrap();
        let request = NodeKey::generate().unwrap().request().unwrap();
        let proof = Octets(keys.asks("rogue", &request).as_bytes().to_vec());
        send(stream, &Message::Ask { name: "rogue".into(), request: Octets(request.to_vec()), proof }).await.unwrap();
        let _ = stream.rx.receive().await;
    });
    assert!(matches!(fleet.pair(address, &"0000-0001".parse().unwrap()).await, Err(PairError::Stranger)));
    assert!(fleet.admitted().is_empty());
    rogue.await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_the_proof_does_not_cover_is_not_taken() {
    let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    let mut hand = Hand::dial(node.address, Carrier::Quic).await;
    let keys = hand.keys(&code).await;
    hand.say(&Message::Confirm { proof: Octets(keys.knows().as_bytes().to_vec()) }).await.unwrap();
    let Ok(Message::Ask { request, .. }) = hand.hear().await else { panic!("the node asks") };
    let certificate = fleet.authority.sign(&request.0.clone().into(), NodeId(7), Role::Worker.into(), today()).unwrap();
    let others = authority().certificate().clone();
    let proof = Octets(keys.gives(&request.0.into(), &certificate, &others, &[]).as_bytes().to_vec());
    let give =
        Message::Give { certificate: Octets(certificate.to_vec()), authority: Octets(fleet.authority.certificate().to_vec()), addresses: Vec::new(), proof };
    hand.say(&give).await.unwrap();
    assert!(hand.is_left().await);
    assert!(matches!(node.log.recv().await, Some(Trouble::Failed(PairError::Stranger))));
    // The code was used up, and the node goes on waiting with another.
    let next = node.code().await;
    fleet.pair(node.address, &next).await.unwrap();
}

#[tokio::test]
async fn oversized_cut_and_foreign_messages_cost_no_try() {
    let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    let nonsense = [(Kind::Pairing, vec![0; 16 << 10]), (Kind::FromAgent, vec![0; 32 << 10]), (Kind::Hello, vec![0; 8]), (Kind::Pairing, vec![0x93; 5])];
    for ((kind, body), carrier) in nonsense.into_iter().flat_map(|nonsense| Carrier::ALL.map(|carrier| (nonsense.clone(), carrier))) {
        let mut hand = Hand::dial(node.address, carrier).await;
        // One that is not taken to its end may already be answered by the end of the connection.
        let _ = hand.0.stranger.stream.tx.send_raw(kind, RequestId(0), body.into()).await;
        assert!(hand.is_left().await, "{kind:?}");
    }
    let mut cut = Hand::dial(node.address, Carrier::Quic).await;
    cut.0.stranger.stream.tx.queue(Kind::Pairing, RequestId(0), &Message::Kept).unwrap();
    drop(cut);
    let mut empty = Hand::dial(node.address, Carrier::Quic).await;
    empty.say(&Message::Begin { point: Octets(Vec::new()) }).await.unwrap();
    assert!(empty.is_left().await);
    assert!(node.log.try_recv().is_err(), "nothing was counted");
    fleet.pair(node.address, &code).await.unwrap();
}

#[tokio::test]
async fn whoever_leaves_before_it_confirms_has_tried_nothing() {
    let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    for _ in 0..5 {
        let mut hand = Hand::dial(node.address, Carrier::Quic).await;
        hand.keys(&wrong(&code)).await;
    }
    fleet.pair(node.address, &code).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_in_time_and_other_addresses_are_tried() {
    let (mut node, fleet) = (Node::open(at_once()), Fleet::new());
    let code = node.code().await;
    let (socket, _) = bind(LOOPBACK, 100_000).unwrap();
    let deaf = socket.local_addr().unwrap();
    let begun = Instant::now();
    assert!(matches!(fleet.pair(deaf, &code).await, Err(PairError::Unreachable(Some(_)))));
    assert!(begun.elapsed() < TEST_MAX);
    let paired = timeout(TEST_MAX, pair(&[deaf, node.address], &code, &fleet.authority, &fleet)).await.unwrap().unwrap();
    assert_eq!(paired.address, node.address);
}

#[test]
fn a_master_is_looked_for_where_it_dialled_from_first() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let told = [address("10.0.0.1:7411"), address("192.168.1.2:7411"), address("10.0.0.1:7411")];
    let here = [address("192.168.1.2:7411"), address("10.0.0.1:7411")];
    assert_eq!(masters(address("192.168.1.2:40000"), &told), here);
    assert_eq!(masters(address("[fe80::1%2]:40000"), &told[..1]), [address("[fe80::1%2]:7411"), told[0]]);
    assert!(masters(address("192.168.1.2:40000"), &[]).is_empty());
    assert_eq!(masters(address("10.0.0.1:40000"), &[address("127.0.0.1:7411")]), [told[0]]);
    assert_eq!(masters(address("127.0.0.1:40000"), &[address("127.0.0.1:7411")]), [address("127.0.0.1:7411")]);
    let many: Vec<SocketAddr> = (1..100).map(|port| SocketAddr::from(([10, 0, 0, 1], port))).collect();
    assert_eq!(masters(many[0], &many).len(), MASTERS_MAX);
}
