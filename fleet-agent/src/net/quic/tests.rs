//! Two nodes on loopback.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::ConnectionError;
use tokio::{runtime, sync::Notify, task::JoinHandle, time::timeout};

use super::*;
use crate::net::{
    codec::{Frame, Kind, Received, RequestId},
    tls::{
        self, Authority, Identity, Role,
        tests::{authority, identity},
    },
};

/// Ends a test that hangs; no assertion depends on it.
const TEST_MAX: Duration = Duration::from_secs(60);
const MASTER: NodeId = NodeId(1);
const AGENT: NodeId = NodeId(2);

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn node(identity: &Identity, settings: Settings) -> (Endpoint, Listener) {
    Endpoint::open(loopback(0), identity, &ListenerKeys::fresh().unwrap(), settings).unwrap()
}

fn fleet() -> (Authority, Identity, Identity) {
    let authority = authority();
    let (master, agent) = (identity(&authority, MASTER.0, Role::Master), identity(&authority, AGENT.0, Role::Worker));
    (authority, master, agent)
}

/// A master that has dialled an agent and was answered.
pub(crate) struct Pair {
    pub(crate) master: Connection,
    pub(crate) agent: Connection,
    /// Kept open.
    pub(crate) _endpoints: (Endpoint, Endpoint, Listener, Listener),
}

pub(crate) async fn pair() -> Pair {
    let (_, master, agent) = fleet();
    let ((agent_end, mut agent_door), (master_end, master_door)) = (node(&agent, Settings::default()), node(&master, Settings::default()));
    let address = agent_end.local_address().unwrap();
    let dial = async {
        let mut connection = master_end.dial(address, AGENT).await.unwrap();
        connection.tx.send(Kind::Hello, RequestId(0), "hello").await.unwrap();
        connection
    };
    let (master, agent) = tokio::join!(dial, agent_door.accept());
    let mut agent = agent.unwrap().unwrap();
    assert_eq!(next(&mut agent.rx).await.kind, Kind::Hello);
    Pair { master, agent, _endpoints: (master_end, agent_end, master_door, agent_door) }
}

async fn next(rx: &mut FrameReceiver) -> Frame {
    match timeout(TEST_MAX, rx.receive()).await.expect("the test hangs").unwrap() {
        Some(Received::Frame(frame)) => frame,
        other => panic!("no frame: {other:?}"),
    }
}

fn spawn_echo(mut rx: FrameReceiver, mut tx: FrameSender) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok(Some(Received::Frame(frame))) = rx.receive().await {
            tx.send(frame.kind, frame.request, &frame.body::<u64>().unwrap()).await.unwrap();
        }
    })
}

#[tokio::test]
async fn each_side_knows_the_other() {
    let Pair { master, mut agent, _endpoints } = pair().await;
    assert_eq!((master.link.peer().node, master.link.peer().roles), (AGENT, Role::Worker.into()));
    assert_eq!((agent.link.peer().node, agent.link.peer().roles), (MASTER, Role::Master.into()));
    let mut master = master;
    agent.tx.send(Kind::Welcome, RequestId(0), "welcome").await.unwrap();
    assert_eq!(next(&mut master.rx).await.body::<String>().unwrap(), "welcome");
    master.link.close(CloseCode::Replaced, "a newer one");
    assert!(matches!(agent.link.closed().await, ConnectionError::ApplicationClosed(close) if close.error_code == CloseCode::Replaced.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_requests_in_flight_are_all_answered() {
    let Pair { master: Connection { link: _link, mut tx, mut rx }, agent, _endpoints } = pair().await;
    let echo = spawn_echo(agent.rx, agent.tx);
    let asker = tokio::spawn(async move {
        for request in 1..=64_u64 {
            tx.queue(Kind::ToAgent, RequestId(request), &(request * 3)).unwrap();
        }
        tx.flush().await.unwrap();
        tx.finish().await.unwrap();
    });
    let mut answered = Vec::new();
    while answered.len() < 64 {
        let frame = next(&mut rx).await;
        assert_eq!(frame.body::<u64>().unwrap(), frame.request.0 * 3);
        answered.push(frame.request.0);
    }
    assert_eq!(answered, (1..=64).collect::<Vec<_>>());
    asker.await.unwrap();
    echo.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn control_frames_flow_beside_a_stalled_and_a_running_transfer() {
    const PART_BYTES: usize = 1_000_000;
    const PARTS: u64 = 50;
    let Pair { mut master, agent: Connection { link, tx, rx }, _endpoints } = pair().await;
    let _echo = spawn_echo(rx, tx);
    let sender = tokio::spawn(async move {
        let mut transfer = link.accept_transfer().await.unwrap();
        assert_eq!(next(&mut transfer.rx).await.kind, Kind::BlobWanted);
        for part in 0..PARTS {
            transfer.tx.send_raw(Kind::BlobPart, RequestId(part), vec![part as u8; PART_BYTES].into()).await.unwrap();
        }
        transfer.tx.finish().await.unwrap();
    });
    let mut transfer = master.link.open_transfer().await.unwrap();
    transfer.tx.send(Kind::BlobWanted, RequestId(9), &1).await.unwrap();
    let go_on = Arc::new(Notify::new());
    let paused = Arc::clone(&go_on);
    let receive = tokio::spawn(async move {
        let mut parts = 0;
        while let Some(received) = transfer.rx.receive().await.unwrap() {
            let Received::Frame(frame) = received else { panic!("{received:?}") };
            assert!(frame.payload.len() == PART_BYTES && frame.payload.iter().all(|&byte| u64::from(byte) == frame.request.0));
            if parts == 0 {
                // Nothing more is taken until the control stream has done its hundred rounds.
                paused.notified().await;
            }
            parts += 1;
        }
        parts
    });
    for request in 0..100 {
        master.tx.send(Kind::ToAgent, RequestId(request), &request).await.unwrap();
        assert_eq!(next(&mut master.rx).await.request, RequestId(request));
    }
    assert!(!sender.is_finished() && !receive.is_finished());
    go_on.notify_one();
    assert_eq!(timeout(TEST_MAX, receive).await.unwrap().unwrap(), PARTS);
    sender.await.unwrap();
}

/// An agent in a runtime of its own, which ends as a killed process does: without a word.
fn agent_that_dies(identity: &Identity, port: u16, keys: ListenerKeys, settings: Settings) -> (runtime::Runtime, SocketAddr) {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (endpoint, mut listener) = Endpoint::open(loopback(port), identity, &keys, settings).unwrap();
    let address = endpoint.local_address().unwrap();
    runtime.spawn(async move {
        let mut connections = Vec::new();
        while let Some(Ok(mut connection)) = listener.accept().await {
            connection.tx.send(Kind::Welcome, RequestId(0), "welcome").await.unwrap();
            connections.push((connection, endpoint.clone()));
        }
    });
    (runtime, address)
}

/// What a dialler sees of a listener that was killed and started again on its port.
async fn restart(idle_max: Duration, before: ListenerKeys, after: ListenerKeys) -> ConnectionError {
    let (_, master, agent) = fleet();
    // The smaller idle limit of the two sides holds, so both get this one.
    let settings = Settings { idle_max, keep_alive: idle_max / 4, ..Settings::default() };
    let (first, address) = agent_that_dies(&agent, 0, before, settings.clone());
    let (endpoint, _listener) = node(&master, settings.clone());
    let mut connection = endpoint.dial(address, AGENT).await.unwrap();
    connection.tx.send(Kind::Hello, RequestId(0), "hello").await.unwrap();
    assert_eq!(next(&mut connection.rx).await.kind, Kind::Welcome);
    // Waits for its threads, so that the socket is closed.
    tokio::task::spawn_blocking(move || drop(first)).await.unwrap();
    let (second, _) = agent_that_dies(&agent, address.port(), after, settings);
    let _ = connection.tx.send(Kind::Heartbeat, RequestId(0), "are you there").await;
    let error = timeout(TEST_MAX, connection.link.closed()).await.expect("the test hangs");
    second.shutdown_background();
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_listener_with_its_stored_keys_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let keys = || ListenerKeys::load_or_create(folder.path()).unwrap();
    // Idle limits are longer than the test may take, so nothing but a reset can end the connection.
    assert_eq!(restart(TEST_MAX * 4, keys(), keys()).await, ConnectionError::Reset);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_listener_with_other_keys_is_only_noticed_by_its_silence() {
    let keys = || ListenerKeys::fresh().unwrap();
    assert_eq!(restart(Duration::from_millis(400), keys(), keys()).await, ConnectionError::TimedOut);
}

#[tokio::test]
async fn another_node_than_the_expected_one_is_refused() {
    let (_, master, agent) = fleet();
    let ((agent_end, mut door), (master_end, _master_door)) = (node(&agent, Settings::default()), node(&master, Settings::default()));
    let dialled = master_end.dial(agent_end.local_address().unwrap(), NodeId(77));
    let (dialled, _accepted) = tokio::join!(dialled, door.accept());
    assert!(matches!(dialled, Err(QuicError::Lost(ConnectionError::TransportError(_)))), "{dialled:?}");
}

#[tokio::test]
async fn stranger_is_refused_and_learns_it_at_its_first_read() {
    let (_, _, agent) = fleet();
    let (agent_end, mut door) = node(&agent, Settings::default());
    // Trusts our authority and shows another's certificate.
    let stranger = identity(&authority(), MASTER.0, Role::Master);
    let mut tls = tls::client_config(&agent).unwrap();
    tls.client_auth_cert_resolver = tls::client_config(&stranger).unwrap().client_auth_cert_resolver;
    let client = quinn::Endpoint::client(loopback(0)).unwrap();
    let config = Settings::default().client(tls).unwrap();
    let address = agent_end.local_address().unwrap();
    let dial = async {
        let connection = client.connect_with(config, address, &tls::node_name(AGENT)).unwrap().await.expect("TLS 1.3 lets the dialler believe it is connected");
        connection.closed().await
    };
    let (seen, refused) = tokio::join!(dial, door.accept());
    assert!(matches!(seen, ConnectionError::ConnectionClosed(_)), "{seen:?}");
    assert!(matches!(refused.unwrap().unwrap_err().error, QuicError::Lost(ConnectionError::TransportError(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_beyond_the_limit_are_refused() {
    let (_, master, agent) = fleet();
    let (agent_end, mut door) = node(&agent, Settings { handshakes_max: 2, ..Settings::default() });
    let (master_end, _master_door) = node(&master, Settings::default());
    let address = agent_end.local_address().unwrap();
    let accepting = tokio::spawn(async move { door.accept().await.map(|_| ()) });
    // Two that never send their first frame hold their places.
    let _first = master_end.dial(address, AGENT).await.unwrap();
    let _second = master_end.dial(address, AGENT).await.unwrap();
    let third = master_end.dial(address, AGENT).await;
    assert!(matches!(third, Err(QuicError::Lost(ConnectionError::ConnectionClosed(_)))), "{third:?}");
    assert_eq!(agent_end.stats().refused_handshakes, 1);
    accepting.abort();
}

#[tokio::test]
async fn dialler_that_must_prove_its_address_gets_in() {
    let (_, master, agent) = fleet();
    let (agent_end, mut door) = node(&agent, Settings { validated_from: 0, ..Settings::default() });
    let (master_end, _master_door) = node(&master, Settings::default());
    let dial = async {
        let mut connection = master_end.dial(agent_end.local_address().unwrap(), AGENT).await.unwrap();
        connection.tx.send(Kind::Hello, RequestId(0), "hello").await.unwrap();
        connection
    };
    let (_connection, accepted) = tokio::join!(dial, door.accept());
    assert_eq!(accepted.unwrap().unwrap().link.peer().node, MASTER);
}

#[tokio::test]
async fn sender_that_stops_inside_a_frame_is_given_up() {
    let (_, master, agent) = fleet();
    let (agent_end, mut door) = node(&agent, Settings { frame_max: Duration::from_millis(1), ..Settings::default() });
    let client = quinn::Endpoint::client(loopback(0)).unwrap();
    let config = Settings::default().client(tls::client_config(&master).unwrap()).unwrap();
    let address = agent_end.local_address().unwrap();
    let dial = async {
        let connection = client.connect_with(config, address, &tls::node_name(AGENT)).unwrap().await.unwrap();
        let (mut tx, rx) = connection.open_bi().await.unwrap();
        tx.write_all(b"BITA\x01").await.unwrap();
        (connection, tx, rx)
    };
    let (_held, accepted) = tokio::join!(dial, door.accept());
    assert!(matches!(timeout(TEST_MAX, accepted.unwrap().unwrap().rx.receive()).await.unwrap(), Err(QuicError::Slow)));
}

#[tokio::test]
async fn clean_close_is_heard() {
    let Pair { master, agent: _agent, _endpoints } = pair().await;
    _endpoints.1.close_cleanly().await;
    assert!(matches!(master.link.closed().await, ConnectionError::ApplicationClosed(_)));
}

#[tokio::test]
async fn granted_buffers_are_reported() {
    let (_, master, _) = fleet();
    let (endpoint, _listener) = node(&master, Settings { udp_buffer_bytes: 100_000, ..Settings::default() });
    let buffers = endpoint.udp_buffers();
    assert_eq!(buffers, UdpBuffers { asked_bytes: 100_000, receive_bytes: 100_000, send_bytes: 100_000 });
    assert_eq!(buffers.shortage(), None);
    let short = UdpBuffers { send_bytes: 50_000, ..buffers };
    assert_eq!(
        short.shortage().unwrap().to_string(),
        "the system grants UDP buffers of 97 KiB for receiving and 48 KiB for sending where 97 KiB were asked for"
    );
}

#[tokio::test]
async fn taken_port_is_named() {
    let taken = UdpSocket::bind(loopback(0)).unwrap();
    let (_, master, _) = fleet();
    let keys = ListenerKeys::fresh().unwrap();
    let opened = Endpoint::open(taken.local_addr().unwrap(), &master, &keys, Settings::default());
    assert!(matches!(opened, Err(QuicError::Bind { address, .. }) if address == taken.local_addr().unwrap()));
}
