//! Certificates are renewed for nodes of the fleet: over their link, or by the dial of one whose certificate has expired.

use std::sync::Arc;

use fleet_agent::net::{
    carrier::{CarrierError, Renewal, Transfer},
    codec::{Frame, Kind, Received},
    renewal::{self, EXCHANGE_MAX},
    tls::{Authority, Peer, Role},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::{Deliver, LinkEvent};

/// Nodes with an expired certificate that are answered at the same time; others wait to be taken.
const RENEWALS_MAX: usize = 32;

/// What it takes to renew.
#[derive(Clone)]
pub(super) struct Renewer {
    pub(super) authority: Arc<Authority>,
    pub(super) deliver: Deliver,
}

impl Renewer {
    /// Answers those whose certificate has expired. Nothing but this is open to them.
    pub(super) async fn run(self, mut expired: mpsc::Receiver<Renewal>) {
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                renewal = expired.recv(), if answers.len() < RENEWALS_MAX => match renewal {
                    None => return,
                    Some(renewal) => {
                        let renewer = self.clone();
                        // What went wrong on the way is the node's to try again.
                        answers.spawn(async move { drop(timeout(2 * EXCHANGE_MAX, renewer.answer_expired(renewal)).await) });
                    }
                },
                Some(_) = answers.join_next() => {}
            }
        }
    }

    async fn answer_expired(&self, mut renewal: Renewal) -> Result<(), CarrierError> {
        match renewal.transfer.rx.receive().await? {
            Some(Received::Frame(frame)) if frame.kind == Kind::RenewalRequest => self.answer(&mut renewal.transfer, &frame, renewal.peer).await?,
            Some(_) | None => return Ok(()),
        }
        // It is the node that ends the connection, once it has read the answer.
        renewal.link.closed().await;
        Ok(())
    }

    pub(super) async fn answer(&self, transfer: &mut Transfer, frame: &Frame, peer: Peer) -> Result<(), CarrierError> {
        let permit = async {
            let (answer, answered) = oneshot::channel();
            // A master renews its own certificate itself, and no other has one.
            if peer.roles.contains(Role::Master) || !(self.deliver)(LinkEvent::RenewalAsked { node: peer.node, answer }) {
                return None;
            }
            answered.await.ok().flatten()
        };
        renewal::answer(transfer, frame, peer, &self.authority, permit).await
    }
}
