//! What the master asks of this node: of its packs, because another node or a person needs their records, and how its machine is.
//! Nothing else is given.

use std::path::PathBuf;

use bitacora_core::ids::{Digest, NodeId};

use crate::{
    blobs::{self, Blobs},
    doctor,
    net::{
        carrier::Transfer,
        codec::{Frame, Kind, Received, RequestId},
        transfer::{self, Blob, TransferError, WANTED_MAX, Wanted},
    },
    search::{self, NamesWanted},
};

/// Requests that are answered at the same time, each with one pack in memory.
pub(super) const LENDING_MAX: usize = 4;

/// Answers one request.
pub(super) async fn lend(mut transfer: Transfer, packs: Blobs, (node, home): (NodeId, PathBuf)) -> Result<(), TransferError> {
    match transfer.rx.receive().await? {
        Some(Received::Frame(frame)) if frame.kind == Kind::BlobWanted => give(&mut transfer, &frame, &packs).await?,
        Some(Received::Frame(frame)) if frame.kind == Kind::NamesWanted => look_through(&mut transfer, &frame, packs).await?,
        Some(Received::Frame(frame)) if frame.kind == Kind::Examine => {
            let findings =
                tokio::task::spawn_blocking(move || doctor::examine(&home, doctor::Patient::Linked(node))).await.map_err(|_| TransferError::Ended)?;
            transfer.tx.send(Kind::Findings, frame.request, &findings).await?;
        }
        Some(Received::Frame(frame)) => return Err(TransferError::Unexpected(frame.kind)),
        Some(Received::Unsupported(what)) => transfer.tx.send(Kind::Unsupported, what.request, "").await?,
        None => return Err(TransferError::Ended),
    }
    Ok(transfer.tx.finish().await?)
}

async fn give(transfer: &mut Transfer, frame: &Frame, packs: &Blobs) -> Result<(), TransferError> {
    let wanted: Wanted = frame.body()?;
    for name in wanted.names.into_iter().take(WANTED_MAX) {
        transfer::send(transfer, &read(packs, name).await).await?;
    }
    Ok(())
}

/// One that is damaged is as good as gone.
async fn read(packs: &Blobs, name: Digest) -> Blob {
    let packs = packs.clone();
    let read = tokio::task::spawn_blocking(move || packs.read(name).ok()).await;
    read.ok().flatten().map_or(Blob::Gone, Blob::Here)
}

async fn look_through(transfer: &mut Transfer, frame: &Frame, packs: Blobs) -> Result<(), TransferError> {
    let wanted: NamesWanted = frame.body()?;
    let searched = tokio::task::spawn_blocking(move || {
        let found = search::search(&packs, &wanted);
        rmp_serde::to_vec(&found).expect("what is in memory can be written to memory")
    });
    let found = searched.await.map_err(|_| TransferError::Ended)?;
    transfer.tx.send(Kind::NamesFound, RequestId(1), &Wanted { names: vec![blobs::digest(&found)] }).await?;
    transfer::send(transfer, &Blob::Here(found)).await
}
