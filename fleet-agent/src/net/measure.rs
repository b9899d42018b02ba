//! What a link can carry on this machine: two nodes of a fleet of their own, on loopback, over the real carriers.
//!
//! Nothing is kept and nobody else is let in: the authority exists as long as the measurement.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use bitacora_core::ids::NodeId;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    carrier::{Carrier, CarrierError, Connection, Endpoint, Listener},
    codec::{CodecError, Kind, Received, RequestId},
    quic::{ListenerKeys, Settings},
    tls::{Authority, Identity, NodeKey, Role, TlsError, Validity},
};

/// Small requests that wait for their answers at the same time.
pub const IN_FLIGHT: u64 = 64;
/// Of bulk, in one frame.
const PART_BYTES: usize = 512 << 10;
/// Ports that are tried: one that is free for UDP may be taken for TCP.
const PORTS_MAX: usize = 20;
const SPAN: Duration = Duration::from_secs(3600);
const NEAR: NodeId = NodeId(1);
const FAR: NodeId = NodeId(2);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    pub connects: usize,
    pub requests: u64,
    pub bulk_bytes: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct LinkFigures {
    pub carrier: Carrier,
    /// From dialling to the answer to the first frame: the median.
    pub connect: Duration,
    pub requests_per_second: f64,
    pub bulk_bytes_per_second: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    #[error("cannot make the keys of the two nodes")]
    Tls(#[from] TlsError),
    #[error("the link between the two nodes failed")]
    Carrier(#[from] CarrierError),
    #[error("a frame between the two nodes is none")]
    Codec(#[from] CodecError),
    #[error("the link between the two nodes ended")]
    Ended,
}

/// Two nodes that trust one another: the one that dials and the one that is dialled.
pub fn identities() -> Result<[Identity; 2], TlsError> {
    let validity = Validity { not_before: SystemTime::now() - SPAN, span: 2 * SPAN };
    let authority = Authority::create("a measurement", validity)?;
    let identity = |node, role: Role| {
        let key = NodeKey::generate()?;
        let certificate = authority.sign(&key.request()?, node, role.into(), validity)?;
        Identity::new(key, certificate, authority.certificate().clone())
    };
    Ok([identity(NEAR, Role::Master)?, identity(FAR, Role::Worker)?])
}

/// Measures one carrier. To be called inside a tokio runtime of several threads.
pub async fn link(carrier: Carrier, amount: Amount) -> Result<LinkFigures, MeasureError> {
    let [near, far] = identities()?;
    let keys = ListenerKeys::fresh()?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let dialler = Endpoint::dialling(any, &near, &keys, Settings::default())?;
    let (listening, door) = listen(any, &far, &keys)?;
    let address = listening.local_address().map_err(|source| CarrierError::Bind { address: any, source })?;
    let mut serving = JoinSet::new();
    serving.spawn(serve(door));
    let figures = measure(&dialler, carrier, address, amount).await;
    tokio::join!(dialler.close_cleanly(), listening.close_cleanly());
    figures
}

async fn measure(dialler: &Endpoint, carrier: Carrier, address: SocketAddr, amount: Amount) -> Result<LinkFigures, MeasureError> {
    let mut connects = Vec::with_capacity(amount.connects);
    for _ in 0..amount.connects.max(1) {
        let begun = Instant::now();
        let connection = connect(dialler, carrier, address).await?;
        connects.push(begun.elapsed());
        drop(connection);
    }
    connects.sort_unstable();
    let mut connection = connect(dialler, carrier, address).await?;
    let begun = Instant::now();
    ask(&mut connection, amount.requests).await?;
    let requests_per_second = amount.requests as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let bytes = fetch(&connection, amount.bulk_bytes).await?;
    let bulk_bytes_per_second = bytes as f64 / begun.elapsed().as_secs_f64();
    Ok(LinkFigures { carrier, connect: connects[connects.len() / 2], requests_per_second, bulk_bytes_per_second })
}

fn listen(address: SocketAddr, identity: &Identity, keys: &ListenerKeys) -> Result<(Endpoint, Listener), CarrierError> {
    let open = || Endpoint::listening(address, identity, keys, Settings::default());
    (1..PORTS_MAX).find_map(|_| open().ok()).map_or_else(open, Ok)
}

async fn connect(dialler: &Endpoint, carrier: Carrier, address: SocketAddr) -> Result<Connection, MeasureError> {
    let mut connection = dialler.dial(carrier, address, FAR).await?;
    connection.tx.send(Kind::Hello, RequestId(0), "").await?;
    answer(&mut connection).await?;
    Ok(connection)
}

async fn answer(connection: &mut Connection) -> Result<u64, MeasureError> {
    match connection.rx.receive().await? {
        Some(Received::Frame(frame)) => Ok(frame.request.0),
        Some(Received::Unsupported(_)) | None => Err(MeasureError::Ended),
    }
}

/// Each answer lets the next request go, so that always as many are in flight.
async fn ask(connection: &mut Connection, requests: u64) -> Result<(), MeasureError> {
    let (mut asked, mut answered) = (0, 0);
    while answered < requests {
        while asked < requests && asked - answered < IN_FLIGHT {
            connection.tx.queue(Kind::Heartbeat, RequestId(asked), &asked)?;
            asked += 1;
        }
        connection.tx.flush().await?;
        if answer(connection).await? != answered {
            return Err(MeasureError::Ended);
        }
        answered += 1;
    }
    Ok(())
}

/// Bytes of one transfer, as raw parts.
async fn fetch(connection: &Connection, bytes: u64) -> Result<u64, MeasureError> {
    let mut transfer = connection.link.open_transfer().await?;
    transfer.tx.send(Kind::BlobWanted, RequestId(0), &bytes).await?;
    let mut received = 0;
    while let Some(next) = transfer.rx.receive().await? {
        let Received::Frame(part) = next else { return Err(MeasureError::Ended) };
        received += part.payload.len() as u64;
    }
    if received < bytes { Err(MeasureError::Ended) } else { Ok(received) }
}

/// The other side: answers each frame with the same, and each transfer with as many bytes as it asks for.
async fn serve(mut door: Listener) {
    let mut connections = JoinSet::new();
    while let Some(accepted) = door.accept().await {
        if let Ok(Connection { link, mut tx, mut rx }) = accepted {
            // What ends with an error ends the measurement too, at the other side.
            connections.spawn(async move {
                while let Some(Received::Frame(frame)) = rx.receive().await? {
                    tx.send_raw(frame.kind, frame.request, frame.payload.into()).await?;
                }
                Ok::<_, CarrierError>(())
            });
            connections.spawn(async move {
                loop {
                    let mut transfer = link.accept_transfer().await?;
                    let Some(Received::Frame(wanted)) = transfer.rx.receive().await? else { continue };
                    let (mut left, part) = (wanted.body::<u64>()?, Bytes::from(vec![7; PART_BYTES]));
                    while left > 0 {
                        let bytes = left.min(PART_BYTES as u64);
                        transfer.tx.send_raw(Kind::BlobPart, RequestId(0), part.slice(..bytes as usize)).await?;
                        left -= bytes;
                    }
                    transfer.tx.finish().await?;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_carrier_is_measured() {
        for carrier in Carrier::ALL {
            let figures = link(carrier, Amount { connects: 3, requests: 300, bulk_bytes: 3_000_001 }).await.unwrap();
            assert_eq!(figures.carrier, carrier);
            assert!(!figures.connect.is_zero() && figures.requests_per_second > 0.0 && figures.bulk_bytes_per_second > 0.0);
        }
    }
}
