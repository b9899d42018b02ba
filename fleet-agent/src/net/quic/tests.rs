//! What is QUIC's alone, on loopback. What holds for both carriers is in the tests of `carrier`.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use bitacora_core::ids::NodeId;
use quinn::ConnectionError;
use tokio::{runtime, time::timeout};

use super::*;
use crate::net::{
    carrier::{CarrierError, FrameReceiver},
    codec::{Frame, Kind, Received, RequestId},
    tls::{
        Identity, Role,
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

fn fleet() -> (Identity, Identity) {
    let authority = authority();
    (identity(&authority, MASTER.0, Role::Master), identity(&authority, AGENT.0, Role::Worker))
}

async fn next(rx: &mut FrameReceiver) -> Frame {
    match timeout(TEST_MAX, rx.receive()).await.expect("the test hangs").unwrap() {
        Some(Received::Frame(frame)) => frame,
        other => panic!("no frame: {other:?}"),
    }
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
async fn restart(idle_max: Duration, before: ListenerKeys, after: ListenerKeys) -> CarrierError {
    let (master, agent) = fleet();
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
    let error = restart(TEST_MAX * 4, keys(), keys()).await;
    assert!(matches!(error, CarrierError::Lost(ConnectionError::Reset)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_listener_with_other_keys_is_only_noticed_by_its_silence() {
    let keys = || ListenerKeys::fresh().unwrap();
    let error = restart(Duration::from_millis(400), keys(), keys()).await;
    assert!(matches!(error, CarrierError::Lost(ConnectionError::TimedOut)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_beyond_the_limit_are_refused() {
    let (master, agent) = fleet();
    let (agent_end, mut door) = node(&agent, Settings { handshakes_max: 2, ..Settings::default() });
    let (master_end, _master_door) = node(&master, Settings::default());
    let address = agent_end.local_address().unwrap();
    let accepting = tokio::spawn(async move { door.accept().await.map(|_| ()) });
    // Two that never send their first frame hold their places.
    let _first = master_end.dial(address, AGENT).await.unwrap();
    let _second = master_end.dial(address, AGENT).await.unwrap();
    let third = master_end.dial(address, AGENT).await;
    assert!(matches!(third, Err(CarrierError::Lost(ConnectionError::ConnectionClosed(_)))), "{third:?}");
    assert_eq!(agent_end.stats().refused_handshakes, 1);
    accepting.abort();
}

#[tokio::test]
async fn dialler_that_must_prove_its_address_gets_in() {
    let (master, agent) = fleet();
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
async fn granted_buffers_are_reported() {
    let (master, _) = fleet();
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
    let (master, _) = fleet();
    let keys = ListenerKeys::fresh().unwrap();
    let opened = Endpoint::open(taken.local_addr().unwrap(), &master, &keys, Settings::default());
    assert!(matches!(opened, Err(CarrierError::Bind { address, .. }) if address == taken.local_addr().unwrap()));
}
