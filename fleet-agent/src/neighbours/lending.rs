//! What neighbours are given: contents that this node was brought, and its packs, by name. Only those that the master lets ask.

use std::sync::Arc;

use bitacora_core::{ids::Digest, wire::neighbours::NEIGHBOURS_MAX};
use tokio::task::JoinSet;

use super::{Counts, Inner};
use crate::{
    link::Greeting,
    net::{
        carrier::{CloseCode, Connection, Transfer},
        codec::{Kind, RequestId},
        tls::{Peer, Role},
        transfer::{self, Blob, TransferError, WANTED_MAX, Wanted},
    },
};

/// Connections at the same time; each neighbour needs one, and one that was cut off may have a second.
pub(super) const GUESTS_MAX: usize = 2 * NEIGHBOURS_MAX;
/// Requests of one neighbour that are answered at the same time, each with one blob in memory.
const LENDING_MAX: usize = 4;

fn may_ask(inner: &Inner, peer: Peer) -> bool {
    peer.roles.contains(Role::Worker) && inner.known.borrow().serve.contains(&peer.node)
}

pub(super) async fn host(connection: Connection, inner: Arc<Inner>) {
    let (link, peer) = (connection.link.clone(), connection.link.peer());
    let mut known = inner.known.subscribe();
    if !may_ask(&inner, peer) {
        return link.close(CloseCode::NotPermitted, "the master has not named this node");
    }
    let attended = tokio::select! {
        attended = attend(connection, Arc::clone(&inner)) => attended,
        () = async { while may_ask(&inner, peer) && known.changed().await.is_ok() {} } => Ok(()),
    };
    // How it ended makes no difference: there is the master.
    drop(attended);
    link.close(CloseCode::NotPermitted, "not any more");
}

async fn attend(mut connection: Connection, inner: Arc<Inner>) -> Result<(), TransferError> {
    transfer::expect_on(&mut connection.rx, Kind::Hello).await?;
    connection.tx.send(Kind::Welcome, RequestId(1), &Greeting::of_this_program()).await?;
    let mut lending = JoinSet::new();
    loop {
        tokio::select! {
            transfer = connection.link.accept_transfer(), if lending.len() < LENDING_MAX => {
                lending.spawn(lend(transfer?, Arc::clone(&inner)));
            }
            Some(_) = lending.join_next() => {}
            // Nothing more is said here but goodbye.
            _ = connection.rx.receive() => return Ok(()),
        }
    }
}

async fn lend(mut transfer: Transfer, inner: Arc<Inner>) -> Result<(), TransferError> {
    let wanted: Wanted = transfer::expect(&mut transfer, Kind::BlobWanted).await?.body()?;
    for name in wanted.names.into_iter().take(WANTED_MAX) {
        let blob = read(&inner, name).await;
        transfer::send(&mut transfer, blob.as_ref().unwrap_or(&Blob::Gone)).await?;
        if let Some(Blob::Here(bytes)) = &blob {
            Counts::add(&inner.counts.to_neighbours, Some(bytes));
        }
    }
    Ok(transfer.tx.finish().await?)
}

async fn read(inner: &Arc<Inner>, name: Digest) -> Option<Blob> {
    let inner = Arc::clone(inner);
    let read = tokio::task::spawn_blocking(move || inner.kept.read(name).or_else(|| inner.packs.read(name).ok()));
    read.await.ok().flatten().map(Blob::Here)
}
