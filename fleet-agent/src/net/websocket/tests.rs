//! What is the WebSocket's alone: peers with a certificate that break the rules of streams.

use std::{net::Ipv4Addr, time::Duration};

use bitacora_core::ids::NodeId;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message as Frame, protocol::frame::coding::CloseCode as FrameCode},
};

use super::{
    message::{Message, encode},
    *,
};
use crate::net::{
    carrier::{CarrierError, Connection},
    quic::Settings,
    tls::{
        self, Role,
        tests::{authority, identity},
    },
};

/// Ends a test that hangs; no assertion depends on it.
const TEST_MAX: Duration = Duration::from_secs(60);
const AGENT: NodeId = NodeId(2);

/// A node's connection to somebody who writes what he likes.
async fn rogue(settings: Settings) -> (WebSocketStream<TlsStream<TcpStream>>, Connection, Endpoint) {
    let authority = authority();
    let (agent, rogue) = (identity(&authority, AGENT.0, Role::Worker), identity(&authority, 1, Role::Master));
    let endpoint = Endpoint::new(&agent, settings).unwrap();
    let mut door = endpoint.listen((Ipv4Addr::LOCALHOST, 0).into(), tokio::sync::mpsc::channel(1).0).unwrap();
    let address = door.local_address().unwrap();
    let dial = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(tls::client_config(&rogue).unwrap()));
        let stream = connector.connect(tls::server_name(AGENT), tcp).await.unwrap();
        client_async("wss://node/", TlsStream::from(stream)).await.unwrap().0
    };
    let (socket, accepted) = tokio::join!(dial, door.accept());
    (socket, accepted.unwrap().unwrap(), endpoint)
}

#[tokio::test]
async fn whoever_breaks_a_rule_is_sent_away() {
    let data = |stream, bytes| Frame::Binary(encode(stream, &Message::Data(Bytes::from(vec![0; bytes]))));
    let note = |stream, message| Frame::Binary(encode(stream, &message));
    let full = WINDOW_BYTES / cost(CHUNK_BYTES_MAX);
    let crimes: Vec<(&str, Vec<Frame>)> = vec![
        ("text", vec![Frame::text("hello")]),
        ("no header", vec![Frame::binary(vec![1, 2])]),
        ("no message", vec![Frame::binary(vec![0, 0, 0, 0, 99])]),
        ("no such stream", vec![data(2, 1)]),
        ("out of turn", vec![note(4, Message::Open)]),
        ("ours", vec![note(1, Message::Open)]),
        ("twice", vec![note(2, Message::Open), note(2, Message::Open)]),
        ("too many", (1..=4).map(|number| note(2 * number, Message::Open)).collect()),
        ("behind its end", vec![note(2, Message::Open), note(2, Message::Finish), data(2, 1)]),
        ("a second end", vec![note(2, Message::Open), note(2, Message::Finish), note(2, Message::Reset(1))]),
        ("more than the window", (0..=full).map(|_| data(0, CHUNK_BYTES_MAX)).collect()),
        ("many small ones are more than the window", (0..=WINDOW_BYTES / cost(1)).map(|_| data(0, 1)).collect()),
        ("places twice", vec![note(0, Message::Places(1)), note(0, Message::Places(1))]),
        ("more room than there was", vec![note(0, Message::Credit(1))]),
    ];
    for (crime, frames) in crimes {
        let (mut socket, connection, _endpoint) = rogue(Settings { transfers_max: 3, ..Settings::default() }).await;
        for frame in frames {
            // It may be sent away before the last word.
            let _ = socket.send(frame).await;
        }
        let ended = timeout(TEST_MAX, connection.link.closed()).await.expect("the test hangs");
        assert!(matches!(ended, CarrierError::Over(Ended::Misuse(_))), "{crime}: {ended:?}");
        let goodbye = async {
            while let Some(Ok(frame)) = socket.next().await {
                if let Frame::Close(Some(close)) = frame {
                    return Some(close.code);
                }
            }
            None
        };
        let code = timeout(TEST_MAX, goodbye).await.expect("the test hangs");
        assert_eq!(code, Some(FrameCode::from(4001)), "{crime}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_not_read() {
    let (mut socket, connection, _endpoint) = rogue(Settings::default()).await;
    let _ = socket.send(Frame::binary(vec![0; message::MESSAGE_BYTES_MAX + 1])).await;
    let ended = timeout(TEST_MAX, connection.link.closed()).await.expect("the test hangs");
    assert!(matches!(ended, CarrierError::Over(Ended::Broken(_))), "{ended:?}");
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_lost_and_one_that_has_nothing_to_say_is_not() {
    let settings = Settings { idle_max: Duration::from_millis(400), keep_alive: Duration::from_millis(50), ..Settings::default() };
    let (mut socket, connection, _endpoint) = rogue(settings).await;
    // Pings alone keep it, for longer than silence may last; each answers one of ours.
    let mut pings = 0;
    while pings < 16 {
        if let Frame::Ping(_) = socket.next().await.unwrap().unwrap() {
            socket.send(Frame::Ping(Bytes::new())).await.unwrap();
            pings += 1;
        }
    }
    let ended = timeout(TEST_MAX, connection.link.closed()).await.expect("the test hangs");
    assert!(matches!(ended, CarrierError::Over(Ended::Silent)), "{ended:?}");
}
