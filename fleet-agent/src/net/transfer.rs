//! Blobs over a stream of their own: asked for by name, compressed, bounded, checked when they arrive.
//!
//! ```text
//! who wants              who has                 who has               who keeps
//!   | -- BlobWanted ------> |                      | -- BlobOffered ----> |
//!   | <-- BlobHead -------- |  once for each name  | <-- BlobWanted ----- |  with the name, or without: it is there
//!   | <-- BlobPart … ------ |                      | -- BlobHead -------> |
//!                                                  | -- BlobPart … -----> |
//!                                                  | <-- BlobKept ------- |
//! ```

use bitacora_core::ids::Digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    carrier::{CarrierError, FrameReceiver, Link, Transfer},
    codec::{CodecError, Frame, Kind, Received, RequestId},
};
use crate::blobs;

/// Of a blob before compression; a frame holds any part.
const PART_BYTES: usize = 512 << 10;
/// A blob above this is refused: more than any file that may be analysed.
pub const BLOB_BYTES_MAX: u64 = 1 << 30;
/// Names in one request.
pub const WANTED_MAX: usize = 4096;
/// What is taken of memory for a blob before any of it has arrived.
const RESERVED_BYTES_MAX: u64 = 8 << 20;

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the link failed")]
    Link(#[from] CarrierError),
    #[error("the other side ended the transfer")]
    Ended,
    #[error("the other side sent {0:?} where a part of a transfer was due")]
    Unexpected(Kind),
    #[error("the other side refused: {0}")]
    Refused(String),
    #[error("blob {0} has {1} bytes, more than the {2} that are taken")]
    TooLarge(Digest, u64, u64),
    #[error("the other side does not know blob {0}")]
    Unknown(Digest),
    #[error("a part of blob {0} does not unpack")]
    Part(Digest),
    #[error("blob {0} is not what its name says")]
    Corrupt(Digest),
}

impl From<CodecError> for TransferError {
    fn from(error: CodecError) -> TransferError {
        TransferError::Link(error.into())
    }
}

/// Names that somebody asks for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    pub names: Vec<Digest>,
}

/// The one blob that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offered {
    pub name: Digest,
    pub kind: BlobKind,
}

/// What a blob is said to be; whoever keeps it checks that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobKind {
    /// The records of a spark.
    Pack,
    /// What a command wrote.
    Log,
}

#[derive(Debug, Serialize, Deserialize)]
enum Head {
    Bytes(u64),
    /// The file that had it has changed or is gone.
    Gone,
    /// Nobody here knows the name, or not yet: a master that was restarted has listed nothing.
    Unknown,
}

/// A blob as whoever is asked for it has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    Here(Vec<u8>),
    Gone,
    Unknown,
}

/// Asks for blobs; hands each to `take`, in the order of the names, `None` for one that is gone.
pub async fn fetch(link: &Link, names: &[Digest], mut take: impl FnMut(usize, Option<Vec<u8>>)) -> Result<(), TransferError> {
    for (group, names) in names.chunks(WANTED_MAX).enumerate() {
        let mut transfer = link.open_transfer().await?;
        transfer.tx.send(Kind::BlobWanted, RequestId(1), &Wanted { names: names.to_vec() }).await?;
        for (place, name) in names.iter().enumerate() {
            take(group * WANTED_MAX + place, receive(&mut transfer, *name, BLOB_BYTES_MAX).await?);
        }
    }
    Ok(())
}

/// Sends a blob to the other side unless it has it; returns when it is kept there.
pub async fn deliver(link: &Link, blob: Offered, read: impl Future<Output = Blob>) -> Result<(), TransferError> {
    let mut transfer = link.open_transfer().await?;
    transfer.tx.send(Kind::BlobOffered, RequestId(1), &blob).await?;
    let wanted: Wanted = expect(&mut transfer, Kind::BlobWanted).await?.body()?;
    if !wanted.names.contains(&blob.name) {
        return Ok(());
    }
    send(&mut transfer, &read.await).await?;
    expect(&mut transfer, Kind::BlobKept).await?;
    Ok(())
}

/// Sends one blob, or why it cannot be sent.
pub async fn send(transfer: &mut Transfer, blob: &Blob) -> Result<(), TransferError> {
    let (head, bytes) = match blob {
        Blob::Here(bytes) => (Head::Bytes(bytes.len() as u64), bytes.as_slice()),
        Blob::Gone => (Head::Gone, [].as_slice()),
        Blob::Unknown => (Head::Unknown, [].as_slice()),
    };
    transfer.tx.send(Kind::BlobHead, RequestId(1), &head).await?;
    for part in bytes.chunks(PART_BYTES) {
        let packed = lz4_flex::block::compress_prepend_size(part);
        transfer.tx.send_raw(Kind::BlobPart, RequestId(1), Bytes::from(packed)).await?;
    }
    Ok(())
}

/// Receives one blob of at most so many bytes, whole and checked; `None` when it is gone.
pub async fn receive(transfer: &mut Transfer, name: Digest, bytes_max: u64) -> Result<Option<Vec<u8>>, TransferError> {
    let bytes = match expect(transfer, Kind::BlobHead).await?.body()? {
        Head::Bytes(bytes) => bytes,
        Head::Gone => return Ok(None),
        Head::Unknown => return Err(TransferError::Unknown(name)),
    };
    if bytes > bytes_max {
        return Err(TransferError::TooLarge(name, bytes, bytes_max));
    }
    let mut blob = Vec::with_capacity(bytes.min(RESERVED_BYTES_MAX) as usize);
    while (blob.len() as u64) < bytes {
        let part = expect(transfer, Kind::BlobPart).await?;
        let unpacked = unpack(&part.payload).filter(|part| !part.is_empty() && (blob.len() + part.len()) as u64 <= bytes);
        blob.extend_from_slice(&unpacked.ok_or(TransferError::Part(name))?);
    }
    if blobs::digest(&blob) != name {
        return Err(TransferError::Corrupt(name));
    }
    Ok(Some(blob))
}

/// At most a part's size is unpacked, whatever the bytes promise.
fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (size, _) = packed.split_first_chunk()?;
    let size = u32::from_le_bytes(*size) as usize;
    (size <= PART_BYTES).then(|| lz4_flex::block::decompress_size_prepended(packed).ok()).flatten()
}

/// The next frame, if it is of this kind.
pub async fn expect(transfer: &mut Transfer, kind: Kind) -> Result<Frame, TransferError> {
    expect_on(&mut transfer.rx, kind).await
}

/// The same on a control stream.
pub async fn expect_on(rx: &mut FrameReceiver, kind: Kind) -> Result<Frame, TransferError> {
    match rx.receive().await? {
        Some(Received::Frame(frame)) if frame.kind == kind => Ok(frame),
        Some(Received::Frame(frame)) if frame.kind == Kind::Refused => Err(TransferError::Refused(frame.body().unwrap_or_default())),
        Some(Received::Frame(frame)) => Err(TransferError::Unexpected(frame.kind)),
        Some(Received::Unsupported(_)) => Err(TransferError::Unexpected(Kind::Unsupported)),
        None => Err(TransferError::Ended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::carrier::{
        Carrier,
        tests::{Pair, pair},
    };

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    /// Answers one request with these blobs, as they are.
    async fn answer(link: &Link, blobs: &[Blob]) {
        let mut transfer = link.accept_transfer().await.unwrap();
        let wanted: Wanted = expect(&mut transfer, Kind::BlobWanted).await.unwrap().body().unwrap();
        assert_eq!(wanted.names.len(), blobs.len());
        for blob in blobs {
            send(&mut transfer, blob).await.unwrap();
        }
    }

    /// Asks for a blob of this name, of somebody who answers with a head and parts of his own making.
    async fn fetched(name: Digest, head: Head, parts: &[Vec<u8>]) -> Result<(), TransferError> {
        let Pair { master, agent, _endpoints } = pair(Carrier::Quic).await;
        let serve = async {
            let mut transfer = master.link.accept_transfer().await.unwrap();
            expect(&mut transfer, Kind::BlobWanted).await.unwrap();
            transfer.tx.send(Kind::BlobHead, RequestId(1), &head).await.unwrap();
            for part in parts {
                transfer.tx.send_raw(Kind::BlobPart, RequestId(1), Bytes::from(part.clone())).await.unwrap();
            }
            transfer
        };
        let names = [name];
        tokio::join!(fetch(&agent.link, &names, |_, _| ()), serve).0
    }

    #[test]
    fn blobs_come_in_the_order_of_their_names() {
        block_on(async {
            let Pair { master, agent, _endpoints } = pair(Carrier::Quic).await;
            let (small, large) = (b"small".to_vec(), vec![7; 3 * PART_BYTES + 1]);
            let names = [blobs::digest(&large), Digest([1; 32]), blobs::digest(&small), blobs::digest(b"")];
            let here = [Blob::Here(large.clone()), Blob::Gone, Blob::Here(small.clone()), Blob::Here(Vec::new())];
            let mut got = Vec::new();
            let (fetched, ()) = tokio::join!(fetch(&agent.link, &names, |place, blob| got.push((place, blob))), answer(&master.link, &here));
            fetched.unwrap();
            assert_eq!(got, [(0, Some(large)), (1, None), (2, Some(small)), (3, Some(Vec::new()))]);
        });
    }

    #[test]
    fn what_is_not_what_was_asked_for_is_refused() {
        let packed = |bytes: &[u8]| lz4_flex::block::compress_prepend_size(bytes);
        let name = blobs::digest(b"right");
        block_on(async {
            let wrong = fetched(name, Head::Bytes(5), &[packed(b"wrong")]).await;
            assert!(matches!(wrong, Err(TransferError::Corrupt(_))), "{wrong:?}");
            let unknown = fetched(name, Head::Unknown, &[]).await;
            assert!(matches!(unknown, Err(TransferError::Unknown(_))), "{unknown:?}");
            let huge = fetched(name, Head::Bytes(BLOB_BYTES_MAX + 1), &[]).await;
            assert!(matches!(huge, Err(TransferError::TooLarge(..))), "{huge:?}");
            let longer = fetched(name, Head::Bytes(3), &[packed(b"right")]).await;
            assert!(matches!(longer, Err(TransferError::Part(_))), "{longer:?}");
        });
    }

    #[test]
    fn a_part_that_would_unpack_to_more_than_a_part_is_not_unpacked() {
        let bomb = lz4_flex::block::compress_prepend_size(&vec![0; 64 << 20]);
        assert!(bomb.len() < 1 << 20, "it fits into a frame");
        block_on(async {
            let refused = fetched(Digest([9; 32]), Head::Bytes(64 << 20), &[bomb]).await;
            assert!(matches!(refused, Err(TransferError::Part(_))), "{refused:?}");
        });
    }
}
