//! What the master asks of this node: of its packs, because another node or a person needs their records, how its machine is, and
//! whether it is there at all. Nothing else is given.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bitacora_core::ids::{Digest, NodeId};
use tokio::{sync::Semaphore, time::timeout};

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

/// Requests that are taken at the same time, more than a master makes: its next ones wait in its own streams.
pub(super) const REQUESTS_MAX: usize = 24;
/// Of those, the ones that are worked on, each with one pack in memory.
const LENDING_MAX: usize = 4;
/// For a turn: a request that its master has given up must not keep others from being read.
const TURN_MAX: Duration = Duration::from_secs(8);

/// What it takes to answer.
#[derive(Clone)]
pub(super) struct Lender {
    node: NodeId,
    home: PathBuf,
    packs: Blobs,
    turns: Arc<Semaphore>,
}

impl Lender {
    pub(super) fn new(node: NodeId, home: PathBuf, packs: Blobs) -> Lender {
        Lender { node, home, packs, turns: Arc::new(Semaphore::new(LENDING_MAX)) }
    }

    /// Answers one request.
    pub(super) async fn lend(self, mut transfer: Transfer) -> Result<(), TransferError> {
        match transfer.rx.receive().await? {
            // At once, however much is being lent: who does not answer in time is taken for dead.
            Some(Received::Frame(frame)) if frame.kind == Kind::Ping => transfer.tx.send(Kind::Pong, frame.request, "").await?,
            Some(Received::Frame(frame)) => {
                let turn = timeout(TURN_MAX, self.turns.acquire()).await.map_err(|_| TransferError::Ended)?;
                let _turn = turn.expect("nobody closes it");
                self.work(&mut transfer, &frame).await?;
            }
            Some(Received::Unsupported(what)) => transfer.tx.send(Kind::Unsupported, what.request, "").await?,
            None => return Err(TransferError::Ended),
        }
        Ok(transfer.tx.finish().await?)
    }

    async fn work(&self, transfer: &mut Transfer, asked: &Frame) -> Result<(), TransferError> {
        match asked.kind {
            Kind::BlobWanted => give(transfer, asked, &self.packs).await,
            Kind::NamesWanted => look_through(transfer, asked, self.packs.clone()).await,
            Kind::Examine => {
                let (home, patient) = (self.home.clone(), doctor::Patient::Linked(self.node));
                let findings = tokio::task::spawn_blocking(move || doctor::examine(&home, patient)).await.map_err(|_| TransferError::Ended)?;
                Ok(transfer.tx.send(Kind::Findings, asked.request, &findings).await?)
            }
            other => Err(TransferError::Unexpected(other)),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{
        carrier::{
            Carrier,
            tests::{Pair, pair},
        },
        transfer::expect,
    };

    #[tokio::test]
    async fn a_sign_of_life_waits_for_nothing_that_is_lent() {
        for carrier in Carrier::ALL {
            let Pair { master, agent, _endpoints } = pair(carrier).await;
            let home = tempfile::tempdir().unwrap();
            let lender = Lender::new(NodeId(2), home.path().to_owned(), Blobs::open(&home.path().join("packs")).unwrap());
            let _all = lender.turns.acquire_many(LENDING_MAX as u32).await.unwrap();
            let asks = async |kind| {
                let mut transfer = master.link.open_transfer().await.unwrap();
                transfer.tx.send(kind, RequestId(1), &Wanted { names: Vec::new() }).await.unwrap();
                transfer
            };
            let stuck = asks(Kind::BlobWanted).await;
            let waiting = tokio::spawn(lender.clone().lend(agent.link.accept_transfer().await.unwrap()));
            let mut ping = asks(Kind::Ping).await;
            let (answered, lent) = tokio::join!(expect(&mut ping, Kind::Pong), lender.clone().lend(agent.link.accept_transfer().await.unwrap()));
            assert!(answered.is_ok() && lent.is_ok() && !waiting.is_finished(), "{answered:?} {lent:?}");
            waiting.abort();
            drop(stuck);
        }
    }
}
