//! Dialling a node that belongs to the fleet and has no link.

use std::net::SocketAddr;

use bitacora_core::ids::NodeId;
use fleet_agent::net::{
    carrier::{Carrier, Connection, Endpoint},
    codec::{Kind, RequestId},
    race,
};

/// Nodes that are dialled at the same time; whoever finds no turn is called later.
pub(super) const CALLS_MAX: usize = 64;
/// Addresses of one node that are tried.
const ADDRESSES_MAX: usize = 8;

/// A connection with the node, told that its master calls.
pub(super) async fn call(endpoint: Endpoint, node: NodeId, mut addresses: Vec<SocketAddr>) -> Option<Connection> {
    addresses.truncate(ADDRESSES_MAX);
    let dial = |carrier, address| {
        let endpoint = endpoint.clone();
        async move { endpoint.dial(carrier, address, node).await }
    };
    // Whoever answers as another node is no answer.
    let dialled = race::first_to_answer(race::ways(&addresses, &Carrier::ALL), dial, |_| false).await;
    let mut connection = dialled.ok()?;
    connection.tx.send(Kind::Call, RequestId(1), "").await.ok()?;
    Some(connection)
}
