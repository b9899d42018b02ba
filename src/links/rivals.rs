//! Two links of one node: it has one life at a time. Is the one that is linked alive?
//!
//! A process that was killed, or whose network is gone, leaves a link that looks like any other until it times out, and its next
//! life must not wait for that. A copy of its identity looks like that next life. What tells them apart is that the one that is
//! linked answers, or does not: who answers stays.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bitacora_core::ids::NodeId;
use fleet_agent::net::{
    carrier::{Carrier, Link},
    codec::{Kind, RequestId},
    transfer::{TransferError, expect},
};
use tokio::{task::JoinSet, time::timeout};

use super::greeting::{Greeted, SECOND_LIFE, refuse};

/// For the answer, beyond what three round trips take: a node that was killed is to be known again in half a second.
const ANSWER_MAX: Duration = Duration::from_millis(250);
/// Over a WebSocket, where an answer stands behind what was written before it. TCP says at once that a process has ended.
const ANSWER_MAX_BY_WEBSOCKET: Duration = Duration::from_secs(4);
/// Of a node of whom somebody was refused lately: a copy tries again and again, and one answer that is late must not be its chance.
const ANSWER_MAX_WHEN_WARY: Duration = Duration::from_secs(8);
const WARY_FOR: Duration = Duration::from_secs(600);
/// Of one node at a time. Whoever else comes in its name is disconnected, and dials again.
const RIVALS_MAX: usize = 4;

/// A node that is connected while one of its name is linked.
pub(super) struct Rival {
    pub(super) greeted: Greeted,
    /// Of the link that was asked.
    pub(super) asked: u64,
    /// Did that answer?
    pub(super) is_refused: bool,
}

/// Those about whom a link is being asked, and those who are being sent away.
#[derive(Default)]
pub(super) struct Rivals {
    asking: JoinSet<Rival>,
    refusing: JoinSet<Refusal>,
    nodes: HashMap<NodeId, Contest>,
}

#[derive(Default)]
struct Contest {
    rivals: usize,
    /// When somebody was refused last.
    refused_at: Option<Instant>,
}

impl Contest {
    fn is_wary(&self) -> bool {
        self.refused_at.is_some_and(|at| at.elapsed() < WARY_FOR)
    }
}

/// What became of one.
pub(super) enum Outcome {
    Asked(Box<Rival>),
    Refused(Refusal),
}

/// Who was sent away.
pub(super) struct Refusal {
    pub(super) node: NodeId,
    pub(super) from: SocketAddr,
    /// An end that was left meanwhile was nobody's copy.
    pub(super) was_heard: bool,
}

impl Rivals {
    /// Asks the link of this number whether it lives.
    pub(super) fn receive(&mut self, greeted: Greeted, link: Link, number: u64) {
        let contest = self.nodes.entry(link.peer().node).or_default();
        if contest.rivals < RIVALS_MAX {
            contest.rivals += 1;
            let limit = answer_max(&link, contest.is_wary());
            self.asking.spawn(async move { Rival { greeted, asked: number, is_refused: answers(&link, limit).await } });
        }
    }

    /// Sends one away, with the reason.
    pub(super) fn refuse(&mut self, Greeted { connection, .. }: Greeted) {
        let (node, from) = (connection.link.peer().node, connection.link.remote_address());
        let contest = self.nodes.entry(node).or_default();
        contest.rivals += 1;
        self.refusing.spawn(async move { Refusal { node, from, was_heard: refuse(connection, SECOND_LIFE).await } });
    }

    /// The next one of whom something is known. Pending while there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Outcome {
        let (node, outcome) = tokio::select! {
            Some(rival) = self.asking.join_next() => {
                let rival = rival.expect("asking neither panics nor is ended while the links live");
                (rival.greeted.connection.link.peer().node, Outcome::Asked(Box::new(rival)))
            }
            Some(refused) = self.refusing.join_next() => {
                let refusal = refused.expect("a refusal neither panics nor is ended while the links live");
                (refusal.node, Outcome::Refused(refusal))
            }
            else => std::future::pending().await,
        };
        if let Some(contest) = self.nodes.get_mut(&node) {
            contest.rivals -= 1;
            if matches!(outcome, Outcome::Refused(Refusal { was_heard: true, .. })) {
                contest.refused_at = Some(Instant::now());
            }
        }
        self.nodes.retain(|_, contest| contest.rivals > 0 || contest.is_wary());
        outcome
    }
}

fn answer_max(link: &Link, is_wary: bool) -> Duration {
    match link.round_trip() {
        _ if is_wary => ANSWER_MAX_WHEN_WARY,
        Some(round_trip) if link.carrier() == Carrier::Quic => ANSWER_MAX + 3 * round_trip,
        Some(_) | None => ANSWER_MAX_BY_WEBSOCKET,
    }
}

async fn answers(link: &Link, limit: Duration) -> bool {
    let exchange = async {
        let mut transfer = link.open_transfer().await?;
        transfer.tx.send(Kind::Ping, RequestId(1), "").await?;
        expect(&mut transfer, Kind::Pong).await
    };
    // One that does not know the question is alive as well.
    matches!(timeout(limit, exchange).await, Ok(Ok(_) | Err(TransferError::Unexpected(Kind::Unsupported))))
}
