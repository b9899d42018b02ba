//! Dialling a node that belongs to the fleet and has no link.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bitacora_core::ids::{Epoch, NodeId};
use fleet_agent::{
    callers::Call,
    net::{
        carrier::{Carrier, Connection, Endpoint},
        codec::{Kind, RequestId},
        race,
    },
};

/// Nodes that are dialled at the same time; whoever finds no turn is called later.
const CALLS_MAX: usize = 64;
/// Addresses of one node that are tried: those that are known, and some at which it is announced.
const ADDRESSES_MAX: usize = 12;

/// Who is being called: nobody twice at a time, or the second call would take the link from the first.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<BTreeSet<NodeId>>>);

pub(super) struct Turn {
    turns: Turns,
    node: NodeId,
}

impl Turns {
    pub(super) fn turn(&self, node: NodeId) -> Option<Turn> {
        let mut called = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_turn = called.len() < CALLS_MAX && called.insert(node);
        has_turn.then(|| Turn { turns: self.clone(), node })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.node);
    }
}

/// A connection with the node, told that its master calls; none where it has dialled meanwhile.
pub(super) async fn call(
    endpoint: Endpoint,
    (node, epoch): (NodeId, Epoch),
    mut addresses: Vec<SocketAddr>,
    is_linked: impl Fn() -> bool,
) -> Option<Connection> {
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses.truncate(ADDRESSES_MAX);
    let dial = |carrier, address| {
        let endpoint = endpoint.clone();
        async move { endpoint.dial(carrier, address, node).await }
    };
    // Whoever answers as another node is no answer.
    let dialled = race::first_to_answer(race::ways(&addresses, &Carrier::ALL), dial, |_| false).await;
    let mut connection = dialled.ok().filter(|_| !is_linked())?;
    connection.tx.send(Kind::Call, RequestId(1), &Call { epoch }).await.ok()?;
    Some(connection)
}
