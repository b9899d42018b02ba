//! How much of what nodes have said may wait for the loop, counted in bytes: of one node, and of all.
//!
//! Whoever reads from a node first takes room for the frame and reads no further while there is none, so that the node
//! is slowed down by its own flow control. Nothing is dropped here, and nothing is decoded.

use std::{mem::size_of, sync::Arc};

use bitacora_core::wire::task::{FileOutcome, SPARK_FILES_MAX};
use fleet_agent::net::codec::Kind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of all nodes: a few results as large as results can be, or some hundred thousand heartbeats.
const ALL_BYTES_MAX: usize = 256 << 20;
/// Of one node: one frame as large as its kind may be, decoded.
const NODE_BYTES_MAX: usize = charge(Kind::FromAgent.bytes_max() as usize);
/// What any message takes: its envelope, its place in a queue.
const MESSAGE_BYTES: usize = 512;
/// What lists of numbers and names grow by when they are decoded, at most.
const GROWTH: usize = 4;
/// The fewest bytes that a file's outcome has on the wire.
const OUTCOME_BYTES_MIN: usize = 6;

/// The room that all nodes share.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Semaphore>);

/// One node's part of it, over all the links that the node ever has.
#[derive(Clone)]
pub(super) struct NodeInbox {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// Room that is taken until this is dropped: when the message was handled.
#[derive(Debug)]
pub struct Room {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Inbox {
    pub(super) fn new() -> Inbox {
        Inbox(Arc::new(Semaphore::new(ALL_BYTES_MAX)))
    }

    pub(super) fn of_node(&self) -> NodeInbox {
        NodeInbox { all: self.0.clone(), own: Arc::new(Semaphore::new(NODE_BYTES_MAX)) }
    }
}

impl NodeInbox {
    /// Room for a message whose frame has so many bytes; waits until there is some.
    pub(super) async fn room(&self, frame_bytes: usize) -> Room {
        let bytes = charge(frame_bytes) as u32;
        // Its own first: a node that waits for itself keeps nothing from others.
        let own = self.own.clone().acquire_many_owned(bytes).await.expect("nobody closes it");
        let all = self.all.clone().acquire_many_owned(bytes).await.expect("nobody closes it");
        Room { _all: all, _own: own }
    }
}

/// What a message may take once it is decoded.
const fn charge(frame_bytes: usize) -> usize {
    let outcomes = frame_bytes / OUTCOME_BYTES_MIN;
    let outcomes = if outcomes < SPARK_FILES_MAX { outcomes } else { SPARK_FILES_MAX };
    MESSAGE_BYTES + GROWTH * frame_bytes + outcomes * size_of::<FileOutcome>()
}

/// Messages of one node, each of a frame of so many bytes, for which there is room at once.
#[cfg(test)]
pub(super) const fn messages_of(frame_bytes: usize) -> usize {
    NODE_BYTES_MAX / charge(frame_bytes)
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use super::*;

    /// Is there room at once?
    fn is_ready(room: impl Future<Output = Room>) -> Option<Room> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match pin!(room).poll(&mut context) {
            Poll::Ready(room) => Some(room),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_largest_frame_fits_and_a_second_one_waits() {
        let (inbox, largest) = (Inbox::new(), Kind::FromAgent.bytes_max() as usize);
        let node = inbox.of_node();
        let first = is_ready(node.room(largest)).unwrap();
        assert!(is_ready(node.room(0)).is_none(), "the node waits for itself");
        assert!(is_ready(inbox.of_node().room(largest)).is_some(), "and no other node for it");
        drop(first);
        assert!(is_ready(node.room(largest)).is_some());
    }

    #[test]
    fn all_nodes_together_have_a_limit() {
        let (inbox, largest) = (Inbox::new(), Kind::FromAgent.bytes_max() as usize);
        let nodes: Vec<NodeInbox> = (0..2 * ALL_BYTES_MAX / NODE_BYTES_MAX).map(|_| inbox.of_node()).collect();
        let rooms: Vec<Room> = nodes.iter().filter_map(|node| is_ready(node.room(largest))).collect();
        assert_eq!(rooms.len(), ALL_BYTES_MAX / NODE_BYTES_MAX);
    }
}
