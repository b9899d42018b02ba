//! Two links of one node: it has one life at a time. Is the one that is linked alive?
//!
//! A process that was killed, or whose network is gone, leaves a link that looks like any other until it times out, and its next
//! life must not wait for that. A copy of its identity looks like that next life. What tells them apart is that the one that is
//! linked answers, or does not: who answers stays.

use std::{collections::HashMap, time::Duration};

use bitacora_core::ids::NodeId;
use fleet_agent::net::{
    carrier::Link,
    codec::{Kind, RequestId},
    transfer::{TransferError, expect},
};
use tokio::{task::JoinSet, time::timeout};

use super::greeting::Greeted;

/// For the answer, beyond what three round trips take: a node that was killed is to be known again in half a second.
const ANSWER_MAX: Duration = Duration::from_millis(250);
/// Of a link on which it is not known.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Of one node at a time. Whoever else comes in its name is disconnected, and dials again.
const RIVALS_MAX: usize = 4;

/// A node that has dialled while one of its name is linked.
pub(super) struct Rival {
    pub(super) greeted: Greeted,
    /// Of the link that was asked.
    pub(super) asked: u64,
    /// Did that answer?
    pub(super) is_refused: bool,
}

/// Those about whom a link is being asked.
#[derive(Default)]
pub(super) struct Rivals {
    asking: JoinSet<Rival>,
    of_node: HashMap<NodeId, usize>,
}

impl Rivals {
    /// Asks the link of this number whether it lives.
    pub(super) fn receive(&mut self, greeted: Greeted, link: Link, number: u64) {
        let others = self.of_node.entry(link.peer().node).or_default();
        if *others < RIVALS_MAX {
            *others += 1;
            self.asking.spawn(async move { Rival { greeted, asked: number, is_refused: answers(&link).await } });
        }
    }

    /// The next one of whom it is known. Pending while there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Rival {
        let Some(rival) = self.asking.join_next().await else { std::future::pending().await };
        let rival = rival.expect("asking neither panics nor is ended while the links live");
        let node = rival.greeted.connection.link.peer().node;
        if let Some(others) = self.of_node.get_mut(&node) {
            *others -= 1;
            if *others == 0 {
                self.of_node.remove(&node);
            }
        }
        rival
    }
}

async fn answers(link: &Link) -> bool {
    let exchange = async {
        let mut transfer = link.open_transfer().await?;
        transfer.tx.send(Kind::Ping, RequestId(1), "").await?;
        expect(&mut transfer, Kind::Pong).await
    };
    let limit = ANSWER_MAX + 3 * link.round_trip().unwrap_or(ROUND_TRIP);
    matches!(timeout(limit, exchange).await, Ok(Ok::<_, TransferError>(_)))
}
