//! What a node asks for and brings: contents and packs, each transfer on a stream of its own.

use bitacora_core::wire::command::OUTPUT_BYTES_MAX;
use fleet_agent::{
    net::{
        carrier::Transfer,
        codec::{Frame, Kind, RequestId},
        tls::Peer,
        transfer::{self, Blob, BlobKind, Offered, TransferError, Wanted},
    },
    pack,
};

use super::{Shared, Stores, blocking, borrowing};

/// What a pack of one spark's records may weigh: its files have four megabytes, or are one file.
pub(super) const PACK_BYTES_MAX: u64 = 64 << 20;

pub(super) async fn serve(mut transfer: Transfer, first: Frame, peer: Peer, shared: &Shared) -> Result<(), TransferError> {
    match first.kind {
        Kind::BlobWanted => {
            let wanted: Wanted = first.body()?;
            for name in wanted.names.into_iter().take(transfer::WANTED_MAX) {
                let shelves = shared.published.borrow().shelves.clone();
                let absent = if shelves.iter().any(|shelf| shelf.knows(name)) { Blob::Gone } else { Blob::Unknown };
                let packs = shared.stores.packs.clone();
                // Contents for whoever analyses, and packs for whoever is to have them; both are named by what is in them.
                let blob = blocking(move || shelves.iter().find_map(|shelf| shelf.read(name)).or_else(|| packs.read(name).ok())).await;
                let blob = match blob {
                    None if !shared.stores.takes_packs && absent == Blob::Unknown => borrowing::borrow(shared, name).await,
                    found => found,
                };
                transfer::send(&mut transfer, &blob.map_or(absent, Blob::Here)).await?;
            }
            Ok(transfer.tx.finish().await?)
        }
        Kind::BlobOffered => {
            let _turn = shared.receiving.acquire().await.expect("nobody closes it");
            take(&mut transfer, first.body()?, &shared.stores).await
        }
        Kind::RenewalRequest => {
            shared.renewer.answer(&mut transfer, &first, peer).await?;
            Ok(transfer.tx.finish().await?)
        }
        other => Err(TransferError::Unexpected(other)),
    }
}

async fn take(transfer: &mut Transfer, Offered { name, kind }: Offered, stores: &Stores) -> Result<(), TransferError> {
    let (store, bytes_max) = match kind {
        BlobKind::Pack => (stores.packs.clone(), PACK_BYTES_MAX),
        BlobKind::Log => (stores.logs.clone(), OUTPUT_BYTES_MAX),
    };
    let here = store.path(name).exists() || (kind == BlobKind::Pack && !stores.takes_packs);
    let names = if here { Vec::new() } else { vec![name] };
    transfer.tx.send(Kind::BlobWanted, RequestId(1), &Wanted { names }).await?;
    if here {
        return Ok(());
    }
    let blob = match transfer::receive(transfer, name, bytes_max).await {
        Ok(blob) => blob.ok_or(TransferError::Ended)?,
        // It would be too large the next time too: the node is told, so that it does not try again for ever.
        Err(error @ TransferError::TooLarge(..)) => return Ok(transfer.tx.send(Kind::Refused, RequestId(1), &error.to_string()).await?),
        Err(error) => return Err(error),
    };
    let kept = blocking(move || {
        if kind == BlobKind::Pack {
            pack::check_frame(&blob).map_err(|error| error.to_string())?;
        }
        store.write(&blob).map_err(|error| fleet_agent::work::with_cause(&error))
    });
    match kept.await {
        Ok(_) => Ok(transfer.tx.send(Kind::BlobKept, RequestId(1), "").await?),
        Err(reason) => Ok(transfer.tx.send(Kind::Refused, RequestId(1), &reason).await?),
    }
}
