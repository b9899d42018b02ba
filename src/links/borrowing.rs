//! Packs that stay on the nodes, asked for when somebody needs them: another node that is to have a copy, or a person.
//!
//! Who has a pack the loop knows. What comes is checked against its name and its frame; a node that does not have what it is
//! believed to have is told of.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bitacora_core::ids::{Digest, NodeId};
use fleet_agent::{
    blobs::Blobs,
    net::{
        carrier::Link,
        codec::{Kind, RequestId},
        transfer::{self, TransferError, Wanted},
    },
    pack,
};
use tokio::{sync::oneshot, time::timeout};

use super::{LinkEvent, Shared, blocking, transfers::PACK_BYTES_MAX};

/// For one pack from one node.
const BORROW_MAX: Duration = Duration::from_secs(20);
/// What packs of others may take of this disk once a request is over; the ones that were wanted longest ago go first.
const BORROWED_BYTES_MAX: u64 = 1 << 30;

/// The links that packs can be asked over.
#[derive(Debug, Default)]
pub(super) struct Linked(Mutex<HashMap<NodeId, Link>>);

impl Linked {
    pub(super) fn insert(&self, node: NodeId, link: Link) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node, link);
    }

    pub(super) fn remove(&self, node: NodeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    pub(super) fn get(&self, node: NodeId) -> Option<Link> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }
}

/// A pack from whoever has it; `None` where nobody can be asked or has it. It is kept nowhere.
pub(super) async fn borrow(shared: &Shared, pack: Digest) -> Option<Vec<u8>> {
    let holders = holders(shared, pack).await;
    let _turn = shared.receiving.acquire().await.expect("nobody closes it");
    for node in holders {
        let Some(link) = shared.linked.get(node) else { continue };
        match timeout(BORROW_MAX, ask(&link, pack)).await {
            Ok(Ok(Some(bytes))) if pack::check_frame(&bytes).is_ok() => return Some(bytes),
            Ok(Ok(_) | Err(TransferError::Unknown(_) | TransferError::TooLarge(..) | TransferError::Part(_) | TransferError::Corrupt(_))) => {
                shared.tell(LinkEvent::PackMissed { node, pack });
            }
            // The link is lost or slow, which says nothing of the pack.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    None
}

async fn holders(shared: &Shared, pack: Digest) -> Vec<NodeId> {
    let (answer, holders) = oneshot::channel();
    shared.tell(LinkEvent::PackWanted { pack, answer });
    // A loop that has no room for the question has none for the answer.
    holders.await.unwrap_or_default()
}

async fn ask(link: &Link, pack: Digest) -> Result<Option<Vec<u8>>, TransferError> {
    let mut transfer = link.open_transfer().await?;
    transfer.tx.send(Kind::BlobWanted, RequestId(1), &Wanted { names: vec![pack] }).await?;
    transfer::receive(&mut transfer, pack, PACK_BYTES_MAX).await
}

/// Brings packs to this disk; answers with those that could not be had.
pub(super) async fn bring(shared: &Shared, packs: &[Digest]) -> Vec<Digest> {
    let mut lacking = Vec::new();
    for &name in packs {
        let store = shared.stores.packs.clone();
        if store.path(name).exists() {
            continue;
        }
        let kept = match borrow(shared, name).await {
            Some(bytes) => blocking(move || store.write(&bytes)).await.is_ok(),
            None => false,
        };
        lacking.extend((!kept).then_some(name));
    }
    give_back(shared, packs).await;
    lacking
}

/// What nodes have anyhow need not be here for ever.
async fn give_back(shared: &Shared, wanted: &[Digest]) {
    let wanted: HashSet<Digest> = wanted.iter().copied().collect();
    let store = shared.stores.packs.clone();
    let surplus = blocking(move || surplus(&store, &wanted)).await;
    for name in surplus {
        if holders(shared, name).await.iter().any(|node| *node != NodeId::HERE) {
            // One that cannot be removed is in nobody's way but the disk's.
            let _ = shared.stores.packs.remove(name);
        }
    }
}

/// Packs beyond what may be here, the oldest first.
fn surplus(store: &Blobs, wanted: &HashSet<Digest>) -> Vec<Digest> {
    let here = store.list().unwrap_or_default();
    let mut excess = here.iter().map(|(_, size)| size).sum::<u64>().saturating_sub(BORROWED_BYTES_MAX);
    if excess == 0 {
        return Vec::new();
    }
    let written = |name: &Digest| store.path(*name).metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut oldest: Vec<(SystemTime, Digest, u64)> =
        here.into_iter().filter(|(name, _)| !wanted.contains(name)).map(|(name, size)| (written(&name), name, size)).collect();
    oldest.sort_unstable();
    let goes = |(_, name, size): &(SystemTime, Digest, u64)| {
        let goes = excess > 0;
        excess = excess.saturating_sub(*size);
        goes.then_some(*name)
    };
    oldest.iter().map_while(goes).collect()
}
