//! The link beside a bare quinn program: what frames, streams and checks cost, in one run.
//!
//! ```text
//! link [MEGABYTES] [REQUESTS] [CONNECTS] [ROUNDS]
//! ```
//!
//! Prints one JSON object per bar: what was measured, the bar, and whether it is reached. Medians of the rounds; the two
//! programs take turns, so that both see the same machine.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Instant,
};

use bitacora_core::ids::NodeId;
use bytes::Bytes;
use fleet_agent::net::{
    carrier::Carrier,
    measure::{self, Amount},
    tls::{self, Identity},
};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};

/// Of bulk over that of a bare program.
const BULK_RATIO_MIN: f64 = 0.9;
const REQUESTS_PER_SECOND_MIN: f64 = 50_000.0;
const CONNECT_SECONDS_MAX: f64 = 0.005;
/// As much as one of our frames.
const PART_BYTES: usize = 512 << 10;
/// The same windows as ours: it is not they that are compared.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const SEND_WINDOW_BYTES: u64 = 32 << 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let numbers = arguments.map(|argument| argument.parse::<u64>()).collect::<std::result::Result<Vec<_>, _>>()?;
    let number = |place: usize, default: u64| numbers.get(place).copied().unwrap_or(default);
    let amount = Amount { bulk_bytes: number(0, 512) * 1_000_000, requests: number(1, 200_000), connects: number(2, 50) as usize };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut bare, mut quic, mut websocket) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..number(3, 3).max(1) {
        bare.push(runtime.block_on(bare_bulk(amount.bulk_bytes))?);
        quic.push(runtime.block_on(measure::link(Carrier::Quic, amount))?);
        websocket.push(runtime.block_on(measure::link(Carrier::WebSocket, amount))?);
    }
    let bulk = median(quic.iter().map(|figures| figures.bulk_bytes_per_second));
    let bare = median(bare.into_iter());
    let requests = median(quic.iter().map(|figures| figures.requests_per_second));
    let connect = median(quic.iter().map(|figures| figures.connect.as_secs_f64()));
    say("bare quinn bulk MB/s", bare / 1e6, None);
    say("quic bulk MB/s", bulk / 1e6, None);
    say("quic bulk / bare quinn", bulk / bare, Some((BULK_RATIO_MIN, bulk / bare >= BULK_RATIO_MIN)));
    say("quic requests/s, 64 in flight", requests, Some((REQUESTS_PER_SECOND_MIN, requests >= REQUESTS_PER_SECOND_MIN)));
    say("quic connect to first answer, s", connect, Some((CONNECT_SECONDS_MAX, connect < CONNECT_SECONDS_MAX)));
    say("websocket bulk MB/s", median(websocket.iter().map(|figures| figures.bulk_bytes_per_second)) / 1e6, None);
    say("websocket requests/s, 64 in flight", median(websocket.iter().map(|figures| figures.requests_per_second)), None);
    say("websocket connect to first answer, s", median(websocket.iter().map(|figures| figures.connect.as_secs_f64())), None);
    Ok(())
}

fn say(what: &str, measured: f64, bar: Option<(f64, bool)>) {
    match bar {
        None => println!(r#"{{"what": "{what}", "measured": {measured:.4}}}"#),
        Some((bar, reached)) => println!(r#"{{"what": "{what}", "measured": {measured:.4}, "bar": {bar}, "reached": {reached}}}"#),
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Bytes a second through one stream of a program that is nothing but quinn, with the same certificates on both sides.
async fn bare_bulk(bytes: u64) -> Result<f64> {
    let [near, far] = measure::identities()?;
    let server = Endpoint::new(EndpointConfig::default(), Some(server(&far)?), socket()?, Arc::new(TokioRuntime))?;
    let client = Endpoint::new(EndpointConfig::default(), None, socket()?, Arc::new(TokioRuntime))?;
    let connecting = client.connect_with(self::client(&near)?, server.local_addr()?, &tls::node_name(NodeId(2)))?;
    let serving = tokio::spawn(async move {
        let connection = server.accept().await.ok_or("nobody came")?.await?;
        let (mut tx, mut rx) = connection.accept_bi().await?;
        rx.read_chunk(1, true).await?;
        let part = Bytes::from(vec![7; PART_BYTES]);
        let mut left = bytes;
        while left > 0 {
            let next = left.min(PART_BYTES as u64);
            tx.write_chunk(part.slice(..next as usize)).await?;
            left -= next;
        }
        tx.finish()?;
        connection.closed().await;
        Ok::<(), Box<dyn Error + Send + Sync>>(())
    });
    let connection = connecting.await?;
    let (mut tx, mut rx) = connection.open_bi().await?;
    let begun = Instant::now();
    tx.write_all(b"x").await?;
    let mut received = 0;
    while let Some(chunk) = rx.read_chunk(64 << 10, true).await? {
        received += chunk.bytes.len() as u64;
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(received, bytes, "all of it came");
    connection.close(VarInt::from_u32(0), b"done");
    serving.await?.map_err(|error| error.to_string())?;
    Ok(bytes as f64 / seconds)
}

fn socket() -> Result<UdpSocket> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = UdpSocket::bind(address)?;
    let buffers = socket2::SockRef::from(&socket);
    buffers.set_recv_buffer_size(4 << 20)?;
    buffers.set_send_buffer_size(4 << 20)?;
    Ok(socket)
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES)).send_window(SEND_WINDOW_BYTES);
    Arc::new(transport)
}

fn server(identity: &Identity) -> Result<ServerConfig> {
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls::server_config(identity)?)?));
    config.transport_config(transport());
    Ok(config)
}

fn client(identity: &Identity) -> Result<ClientConfig> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls::client_config(identity)?)?));
    config.transport_config(transport());
    Ok(config)
}
