//! Two nodes on loopback, over each carrier.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use rustls::{ClientConfig, version::TLS13};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::net::{
    codec::{Frame, HEADER_BYTES, Kind, Received, RequestId},
    quic::{ListenerKeys, Settings},
    tls::{
        self, Authority, Identity, Role,
        tests::{authority, identity, yesterdays},
    },
};

/// Ends a test that hangs; no assertion depends on it.
const TEST_MAX: Duration = Duration::from_secs(60);
const MASTER: NodeId = NodeId(1);
const AGENT: NodeId = NodeId(2);
/// Ports that are tried: one that is free for UDP may be taken for TCP.
const TRIES_MAX: usize = 20;

pub(crate) fn listening(identity: &Identity) -> (Endpoint, Listener) {
    node(identity, &Settings::default())
}

fn node(identity: &Identity, settings: &Settings) -> (Endpoint, Listener) {
    let open = || Endpoint::listening((Ipv4Addr::LOCALHOST, 0).into(), identity, &ListenerKeys::fresh().unwrap(), settings.clone());
    (0..TRIES_MAX).find_map(|_| open().ok()).expect("some port is free for both")
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

pub(crate) async fn pair(carrier: Carrier) -> Pair {
    pair_with(carrier, &Settings::default()).await
}

/// The agent has these settings.
async fn pair_with(carrier: Carrier, settings: &Settings) -> Pair {
    let (_, master, agent) = fleet();
    let ((agent_end, mut agent_door), (master_end, master_door)) = (node(&agent, settings), node(&master, &Settings::default()));
    let address = agent_end.local_address().unwrap();
    let dial = async {
        let mut connection = master_end.dial(carrier, address, AGENT).await.unwrap();
        connection.tx.send(Kind::Hello, RequestId(0), "hello").await.unwrap();
        connection
    };
    let (master, agent) = tokio::join!(dial, agent_door.accept());
    let mut agent = agent.unwrap().unwrap();
    assert_eq!(next(&mut agent.rx).await.kind, Kind::Hello);
    assert_eq!((master.link.carrier(), agent.link.carrier()), (carrier, carrier));
    Pair { master, agent, _endpoints: (master_end, agent_end, master_door, agent_door) }
}

async fn next(rx: &mut FrameReceiver) -> Frame {
    match timeout(TEST_MAX, rx.receive()).await.expect("the test hangs").unwrap() {
        Some(Received::Frame(frame)) => frame,
        other => panic!("no frame: {other:?}"),
    }
}

async fn closed(link: &Link) -> CarrierError {
    timeout(TEST_MAX, link.closed()).await.expect("the test hangs")
}

fn spawn_echo(mut rx: FrameReceiver, mut tx: FrameSender) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok(Some(Received::Frame(frame))) = rx.receive().await {
            tx.send(frame.kind, frame.request, &frame.body::<u64>().unwrap()).await.unwrap();
        }
    })
}

#[tokio::test]
async fn each_side_knows_the_other_and_hears_why_it_ends() {
    for carrier in Carrier::ALL {
        let Pair { mut master, mut agent, _endpoints } = pair(carrier).await;
        assert_eq!((master.link.peer().node, master.link.peer().roles), (AGENT, Role::Worker.into()));
        assert_eq!((agent.link.peer().node, agent.link.peer().roles), (MASTER, Role::Master.into()));
        agent.tx.send(Kind::Welcome, RequestId(0), "welcome").await.unwrap();
        assert_eq!(next(&mut master.rx).await.body::<String>().unwrap(), "welcome");
        master.link.close(CloseCode::Replaced, "a newer one");
        let error = closed(&agent.link).await;
        assert_eq!(error.close_code(), Some(CloseCode::Replaced as u64), "{error:?}");
        assert!(agent.rx.receive().await.is_err(), "what was open ends with it");
        assert!(agent.tx.send(Kind::Welcome, RequestId(0), "").await.is_err());
        assert!(agent.link.open_transfer().await.is_err());
        assert!(agent.link.accept_transfer().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_requests_in_flight_are_all_answered() {
    for carrier in Carrier::ALL {
        let Pair { master: Connection { link: _link, mut tx, mut rx }, agent, _endpoints } = pair(carrier).await;
        let echo = spawn_echo(agent.rx, agent.tx);
        let asker = tokio::spawn(async move {
            for request in 1..=64_u64 {
                tx.queue(Kind::ToAgent, RequestId(request), &(request * 3)).unwrap();
            }
            tx.flush().await.unwrap();
            tx.finish().await.unwrap();
        });
        for request in 1..=64 {
            let frame = next(&mut rx).await;
            assert_eq!((frame.request.0, frame.body::<u64>().unwrap()), (request, request * 3));
        }
        asker.await.unwrap();
        echo.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_frames_flow_beside_a_stalled_and_a_running_transfer() {
    const PART_BYTES: usize = 1_000_000;
    const PARTS: u64 = 50;
    for carrier in Carrier::ALL {
        let Pair { mut master, agent: Connection { link, tx, rx }, _endpoints } = pair(carrier).await;
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
}

#[tokio::test(flavor = "multi_thread")]
async fn many_transfers_share_the_way_and_their_number_has_a_limit() {
    const TRANSFERS: u64 = 40;
    const PART_BYTES: usize = 300_000;
    for carrier in Carrier::ALL {
        let Pair { master, agent, _endpoints } = pair_with(carrier, &Settings { transfers_max: 3, ..Settings::default() }).await;
        let serve = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            for _ in 0..TRANSFERS {
                let mut transfer = agent.link.accept_transfer().await.unwrap();
                open.spawn(async move {
                    let frame = next(&mut transfer.rx).await;
                    transfer.tx.send_raw(Kind::BlobPart, frame.request, vec![frame.request.0 as u8; PART_BYTES].into()).await.unwrap();
                    transfer.tx.finish().await.unwrap();
                });
            }
            open.join_all().await;
        });
        let mut asked = tokio::task::JoinSet::new();
        for request in 0..TRANSFERS {
            let link = master.link.clone();
            asked.spawn(async move {
                let mut transfer = link.open_transfer().await.unwrap();
                transfer.tx.send(Kind::BlobWanted, RequestId(request), &1).await.unwrap();
                let frame = next(&mut transfer.rx).await;
                assert_eq!(frame.payload, vec![request as u8; PART_BYTES]);
                assert!(transfer.rx.receive().await.unwrap().is_none());
            });
        }
        timeout(TEST_MAX, asked.join_all()).await.expect("the test hangs");
        timeout(TEST_MAX, serve).await.expect("the test hangs").unwrap();
    }
}

#[tokio::test]
async fn a_transfer_that_its_reader_leaves_stops_and_nothing_else_does() {
    for carrier in Carrier::ALL {
        let Pair { mut master, mut agent, _endpoints } = pair(carrier).await;
        let mut transfer = master.link.open_transfer().await.unwrap();
        transfer.tx.send(Kind::BlobWanted, RequestId(1), &1).await.unwrap();
        let Transfer { tx: mut far_tx, rx: far_rx } = agent.link.accept_transfer().await.unwrap();
        drop(transfer.rx);
        let part = bytes::Bytes::from(vec![0; 1_000_000]);
        let flood = async {
            loop {
                if let Err(error) = far_tx.send_raw(Kind::BlobPart, RequestId(1), part.clone()).await {
                    break error;
                }
            }
        };
        let error = timeout(TEST_MAX, flood).await.expect("the test hangs");
        assert!(matches!(error, CarrierError::Abandoned(_)), "{error:?}");
        drop(far_rx);
        master.tx.send(Kind::ToAgent, RequestId(5), "still here").await.unwrap();
        assert_eq!(next(&mut agent.rx).await.request, RequestId(5));
    }
}

#[tokio::test]
async fn a_connection_that_nobody_needs_ends() {
    for carrier in Carrier::ALL {
        let Pair { master, agent, _endpoints } = pair(carrier).await;
        drop(master);
        let error = closed(&agent.link).await;
        assert_eq!(error.close_code(), Some(CloseCode::Stopping as u64), "{error:?}");
    }
}

#[tokio::test]
async fn clean_close_is_heard() {
    for carrier in Carrier::ALL {
        let Pair { master, agent: _agent, _endpoints } = pair(carrier).await;
        _endpoints.1.close_cleanly().await;
        let error = closed(&master.link).await;
        assert_eq!(error.close_code(), Some(CloseCode::Stopping as u64), "{error:?}");
    }
}

#[tokio::test]
async fn another_node_than_the_expected_one_is_refused() {
    for carrier in Carrier::ALL {
        let (_, master, agent) = fleet();
        let ((agent_end, mut door), (master_end, _master_door)) = (node(&agent, &Settings::default()), node(&master, &Settings::default()));
        let dialled = master_end.dial(carrier, agent_end.local_address().unwrap(), NodeId(77));
        let (dialled, _accepted) = tokio::join!(dialled, door.accept());
        match dialled.unwrap_err() {
            CarrierError::Lost(quinn::ConnectionError::TransportError(_)) | CarrierError::Handshake(_) => {}
            error => panic!("{error:?}"),
        }
    }
}

/// What a listener and a dialler with a TLS configuration of its own come to: both must fail.
async fn refused(carrier: Carrier, agent: &Identity, tls: ClientConfig) {
    let (agent_end, mut door) = node(agent, &Settings::default());
    let address = agent_end.local_address().unwrap();
    let dial = async {
        match carrier {
            Carrier::Quic => {
                let client = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
                let config = Settings::default().client(tls).unwrap();
                let connection = client.connect_with(config, address, &tls::node_name(AGENT)).unwrap().await.expect("TLS 1.3 lets it believe it is connected");
                let error = connection.closed().await;
                let by_tls = matches!(error, quinn::ConnectionError::ConnectionClosed(_));
                assert!(by_tls || closed_as(&error) == Some(CloseCode::Expired), "{error:?}");
            }
            Carrier::WebSocket => {
                let opened = tokio_tungstenite::client_async(format!("wss://{}/", tls::node_name(AGENT)), tls_over_tcp(address, tls).await).await;
                // By TLS, or else by a word and nothing more.
                if let Ok((mut socket, _)) = opened {
                    loop {
                        match socket.next().await {
                            Some(Ok(Message::Close(Some(close)))) => break assert_eq!(u16::from(close.code), 4000 + CloseCode::Expired as u16),
                            Some(Ok(Message::Binary(_))) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
        }
    };
    let ((), accepted) = timeout(TEST_MAX, async { tokio::join!(dial, door.accept()) }).await.expect("the test hangs");
    match accepted.unwrap().unwrap_err().error {
        CarrierError::Lost(quinn::ConnectionError::TransportError(_)) | CarrierError::Handshake(_) | CarrierError::Expired => {}
        error => panic!("{error:?}"),
    }
}

/// How the other side closed, where it said so itself.
fn closed_as(error: &quinn::ConnectionError) -> Option<CloseCode> {
    let quinn::ConnectionError::ApplicationClosed(close) = error else { return None };
    (close.error_code == CloseCode::Expired.into()).then_some(CloseCode::Expired)
}

/// TLS 1.3 lets a dialler believe that it is connected.
async fn tls_over_tcp(address: SocketAddr, tls: ClientConfig) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(tls::server_name(AGENT), tcp).await.unwrap()
}

#[tokio::test]
async fn whoever_is_not_of_the_fleet_is_refused_and_learns_it_at_its_first_read() {
    for carrier in Carrier::ALL {
        let (authority, master, agent) = fleet();
        // Trusts our authority and shows another's certificate.
        let stranger = identity(&tls::tests::authority(), MASTER.0, Role::Master);
        let mut tls = tls::client_config(&agent).unwrap();
        tls.client_auth_cert_resolver = tls::client_config(&stranger).unwrap().client_auth_cert_resolver;
        refused(carrier, &agent, tls).await;
        // Shows none.
        let builder = ClientConfig::builder_with_provider(tls::provider()).with_protocol_versions(&[&TLS13]).unwrap();
        let mut tls = builder.with_root_certificates(tls::roots(master.authority()).unwrap()).with_no_client_auth();
        tls.alpn_protocols = vec![tls::ALPN.to_vec()];
        refused(carrier, &agent, tls).await;
        // Shows one that has expired.
        refused(carrier, &agent, tls::client_config(&yesterdays(&authority, MASTER.0, Role::Master)).unwrap()).await;
    }
}

#[tokio::test]
async fn sender_that_stops_inside_a_frame_is_given_up() {
    for carrier in Carrier::ALL {
        let settings = Settings { frame_max: Duration::from_millis(1), ..Settings::default() };
        let Pair { mut master, mut agent, _endpoints } = pair_with(carrier, &settings).await;
        master.tx.queue_bytes(b"BITA\x01");
        master.tx.flush().await.unwrap();
        let received = timeout(TEST_MAX, agent.rx.receive()).await.expect("the test hangs");
        assert!(matches!(received, Err(CarrierError::Slow)), "{received:?}");
    }
}

#[tokio::test]
async fn oversized_frames_are_refused_by_their_header() {
    for carrier in Carrier::ALL {
        let Pair { mut master, mut agent, _endpoints } = pair(carrier).await;
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&[b'B', b'I', b'T', b'A', 1, 0, Kind::FromAgent.number(), 0]);
        header[8..12].copy_from_slice(&(Kind::FromAgent.bytes_max() + 1).to_le_bytes());
        master.tx.queue_bytes(&header);
        master.tx.flush().await.unwrap();
        assert!(matches!(agent.rx.receive().await, Err(CarrierError::Codec(CodecError::Oversized { .. }))));
        // On a transfer less is oversized.
        let mut transfer = master.link.open_transfer().await.unwrap();
        let refuse = async {
            let mut far = agent.link.accept_transfer().await.unwrap();
            assert!(matches!(far.rx.receive().await, Err(CarrierError::Codec(CodecError::Oversized { .. }))));
        };
        // Most of it is never taken.
        tokio::join!(transfer.tx.send_raw(Kind::FromAgent, RequestId(1), vec![0; 16 << 20].into()), refuse).0.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_of_a_connection_opens_no_second_one() {
    for carrier in Carrier::ALL {
        let (_, master, agent) = fleet();
        let settings = Settings { handshake_max: Duration::from_secs(1), ..Settings::default() };
        let ((agent_end, mut door), (master_end, _master_door)) = (node(&agent, &settings), node(&master, &settings));
        let far = agent_end.local_address().unwrap();
        let (between, record) = record(carrier, far).await;
        let dial = async {
            let mut connection = master_end.dial(carrier, between, AGENT).await.unwrap();
            connection.tx.send(Kind::Hello, RequestId(0), "hello").await.unwrap();
            connection
        };
        let (dialled, answered) = tokio::join!(dial, door.accept());
        assert_eq!(next(&mut answered.unwrap().unwrap().rx).await.kind, Kind::Hello);
        drop(dialled);
        // To the same node after a restart, which knows nothing of the first time.
        let (again_end, mut door) = node(&agent, &settings);
        replay(carrier, again_end.local_address().unwrap(), &record).await;
        let accepted = timeout(TEST_MAX, door.accept()).await.expect("the test hangs").unwrap();
        assert!(accepted.is_err(), "{accepted:?}");
    }
}

type Record = Arc<std::sync::Mutex<Vec<Vec<u8>>>>;

/// Somebody on the way who lets everything pass and keeps what the dialler says.
async fn record(carrier: Carrier, far: SocketAddr) -> (SocketAddr, Record) {
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let record = Record::default();
    let kept = record.clone();
    let keep = move |bytes: &[u8]| kept.lock().unwrap().push(bytes.to_vec());
    match carrier {
        Carrier::Quic => {
            let (near, out) = (tokio::net::UdpSocket::bind(any).await.unwrap(), tokio::net::UdpSocket::bind(any).await.unwrap());
            let between = near.local_addr().unwrap();
            out.connect(far).await.unwrap();
            tokio::spawn(async move {
                let (mut there, mut back, mut dialler) = ([0; 65_536], [0; 65_536], any);
                loop {
                    tokio::select! {
                        Ok((read, from)) = near.recv_from(&mut there) => {
                            dialler = from;
                            keep(&there[..read]);
                            out.send(&there[..read]).await.unwrap();
                        }
                        Ok(read) = out.recv(&mut back) => drop(near.send_to(&back[..read], dialler).await),
                        else => return,
                    }
                }
            });
            (between, record)
        }
        Carrier::WebSocket => {
            let listener = tokio::net::TcpListener::bind(any).await.unwrap();
            let between = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let (mut near, mut out) = (listener.accept().await.unwrap().0, tokio::net::TcpStream::connect(far).await.unwrap());
                let ((mut near_rx, mut near_tx), (mut out_rx, mut out_tx)) = (near.split(), out.split());
                let there = async {
                    let mut bytes = [0; 65_536];
                    while let Ok(read @ 1..) = tokio::io::AsyncReadExt::read(&mut near_rx, &mut bytes).await {
                        keep(&bytes[..read]);
                        tokio::io::AsyncWriteExt::write_all(&mut out_tx, &bytes[..read]).await.unwrap();
                    }
                };
                tokio::join!(there, async { drop(tokio::io::copy(&mut out_rx, &mut near_tx).await) });
            });
            (between, record)
        }
    }
}

async fn replay(carrier: Carrier, far: SocketAddr, record: &Record) {
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let record = record.lock().unwrap().clone();
    assert!(!record.is_empty());
    match carrier {
        Carrier::Quic => {
            let socket = tokio::net::UdpSocket::bind(any).await.unwrap();
            for packet in record {
                socket.send_to(&packet, far).await.unwrap();
            }
        }
        Carrier::WebSocket => {
            let mut stream = tokio::net::TcpStream::connect(far).await.unwrap();
            for bytes in record {
                // The other side may have had enough.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
            }
        }
    }
}
