//! Nodes of one subnet, which may bring one another what the master would otherwise send to each of them.

use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// Nodes that one node asks, and by which it is asked.
pub const NEIGHBOURS_MAX: usize = 4;

/// What a master lets a node do with those beside it, until the master says otherwise or the link to it is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Those that it may ask, before it asks the master.
    pub ask: Vec<Neighbour>,
    /// Those that may ask it, and nobody else.
    pub serve: Vec<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    pub node: NodeId,
    pub address: SocketAddr,
}
