//! Devices of people: linked as nodes are, and never given anything. Each request has a stream of its own.
//!
//! Nothing is decided here: the loop is asked what becomes of a request, and whether its sender may ask at all.

use std::{collections::HashMap, time::Duration};

use bitacora_core::ids::NodeId;
use bytes::Bytes;
use fleet_agent::net::{
    carrier::{CloseCode, Connection, Link, Transfer},
    codec::{Kind, Received, RequestId},
    transfer::TransferError,
};
use tokio::{task::JoinSet, time::timeout};

use super::{LinkEvent, Shared, blocking, greeting::HELLO_MAX};
use crate::control::{self, Answer, MESSAGE_BYTES_MAX, Request};

/// Links of people's devices, of all of them; more are sent away.
const VISITORS_MAX: usize = 256;
/// Requests of one connection that are answered at the same time; further ones wait in its flow control.
const REQUESTS_MAX: usize = 8;
/// Of an answer, in one frame.
const PART_BYTES: usize = 512 << 10;
/// For the reader of an answer, over a link that may be slow.
const WRITE_MAX: Duration = Duration::from_secs(60);

/// The devices that are linked; one may be so several times.
#[derive(Default)]
pub(super) struct Visits {
    links: HashMap<u64, Link>,
    tasks: JoinSet<u64>,
    /// The last number given to a link.
    number: u64,
}

impl Visits {
    pub(super) fn receive(&mut self, connection: Connection, shared: &Shared) {
        let link = connection.link.clone();
        // It may have been removed since its Hello was answered.
        if !shared.welcomes(link.peer()) {
            return link.close(CloseCode::NotPermitted, "removed from the fleet");
        }
        if self.links.len() >= VISITORS_MAX {
            return link.close(CloseCode::Stopping, "too many devices are connected");
        }
        self.number += 1;
        let (number, shared) = (self.number, shared.clone());
        self.links.insert(number, link);
        self.tasks.spawn(async move {
            attend(connection, shared).await;
            number
        });
    }

    pub(super) fn disconnect(&self, device: NodeId) {
        let theirs = self.links.values().filter(|link| link.peer().node == device);
        theirs.for_each(|link| link.close(CloseCode::NotPermitted, "removed from the fleet"));
    }

    /// Forgets the next one that has ended; `None` while there is none at all. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let number = self.tasks.join_next().await?.expect("a visit neither panics nor is ended while the links live");
        self.links.remove(&number);
        Some(())
    }
}

/// Answers what is asked on one connection, until it ends.
async fn attend(Connection { link, mut rx, .. }: Connection, shared: Shared) {
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            transfer = link.accept_transfer(), if requests.len() < REQUESTS_MAX => match transfer {
                Err(_) => return,
                Ok(transfer) => {
                    let (link, shared) = (link.clone(), shared.clone());
                    // Whoever does not hear its answer asks again.
                    requests.spawn(async move { drop(serve(transfer, &link, &shared).await) });
                }
            },
            Some(_) = requests.join_next() => {}
            // Nothing is said on the control stream but goodbye.
            received = rx.receive() => match received {
                Ok(Some(Received::Unsupported(_))) => {}
                Ok(Some(Received::Frame(_))) => return link.close(CloseCode::Protocol, "only requests are heard, each on a stream of its own"),
                Ok(None) | Err(_) => return,
            },
        }
    }
}

async fn serve(mut transfer: Transfer, link: &Link, shared: &Shared) -> Result<(), TransferError> {
    let peer = link.peer();
    let received = timeout(HELLO_MAX, transfer.rx.receive()).await.map_err(|_| TransferError::Ended)??;
    let request: Request = match received {
        Some(Received::Frame(frame)) if frame.kind == Kind::Asked => frame.body()?,
        Some(Received::Frame(frame)) if frame.kind == Kind::RenewalRequest => {
            shared.renewer.answer(&mut transfer, &frame, peer).await?;
            return Ok(transfer.tx.finish().await?);
        }
        Some(Received::Frame(frame)) => return Err(TransferError::Unexpected(frame.kind)),
        Some(Received::Unsupported(_)) | None => return Err(TransferError::Ended),
    };
    let patience = request.patience();
    let (answer, answered) = crossbeam_channel::bounded(1);
    shared.tell(LinkEvent::Asked { operator: peer.node, roles: peer.roles, request, answer });
    // A loop that is behind or ends has dropped the question.
    let answer = blocking(move || answered.recv_timeout(patience).unwrap_or(Answer::Busy)).await;
    let mut bytes = control::encode(&answer);
    if bytes.len() > MESSAGE_BYTES_MAX as usize {
        bytes = control::encode(&Answer::Refused("the answer is too long".into()));
    }
    let write = async {
        for part in bytes.chunks(PART_BYTES) {
            transfer.tx.send_raw(Kind::Answered, RequestId(1), Bytes::copy_from_slice(part)).await?;
        }
        transfer.tx.finish().await
    };
    Ok(timeout(WRITE_MAX, write).await.map_err(|_| TransferError::Ended)??)
}
