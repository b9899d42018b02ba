//! The first words with who has dialled: who does not belong to the fleet, or speaks another version, is told so and shown the door.

use std::time::Duration;

use fleet_agent::{
    link::Greeting,
    net::{
        carrier::{CarrierError, CloseCode, Connection},
        codec::{CodecError, Frame, Kind, Received, RequestId},
        tls::Role,
        transfer::TransferError,
    },
};
use tokio::time::timeout;

use super::Shared;

/// For a node's Hello, once it is connected, and for its first message after that.
pub(super) const HELLO_MAX: Duration = Duration::from_secs(5);
/// Why somebody is shown the door, for people.
const NO_MEMBER: &str = "this node does not belong to the fleet, or not any more";
pub(super) const SECOND_LIFE: &str = "another process with this node's identity is linked and answers: its key was copied, or it was started twice";

/// Whose Hello was answered.
pub(super) enum Guest {
    Node(Greeted),
    /// A person's device.
    Visitor(Connection),
}

/// A node whose Hello was answered and that has spoken on the link since: of several links that it tried at the same
/// time this is the one it chose.
pub(super) struct Greeted {
    pub(super) connection: Connection,
    pub(super) first: Frame,
}

/// Answers the Hello of who belongs to the fleet; shows the door to others.
pub(super) async fn greet(mut connection: Connection, shared: Shared) -> Option<Guest> {
    let peer = connection.link.peer();
    if !shared.welcomes(peer) {
        shared.refused.one(|refused| &refused.no_member);
        refuse(connection, NO_MEMBER).await;
        return None;
    }
    let hello = match expect(&mut connection, Kind::Hello).await {
        Ok(hello) => hello,
        Err(TransferError::Link(CarrierError::Codec(error @ CodecError::Major { .. }))) => {
            // Whoever cannot read the reason either reads our version in its header.
            shared.refused.one(|refused| &refused.version);
            refuse(connection, &error.to_string()).await;
            return None;
        }
        Err(_) => return None,
    };
    let _: Greeting = hello.body().ok()?;
    connection.tx.send(Kind::Welcome, hello.request, &Greeting::of_this_program()).await.ok()?;
    if !peer.roles.contains(Role::Worker) {
        return Some(Guest::Visitor(connection));
    }
    let first = expect(&mut connection, Kind::FromAgent).await.ok()?;
    Some(Guest::Node(Greeted { connection, first }))
}

pub(super) async fn expect(connection: &mut Connection, kind: Kind) -> Result<Frame, TransferError> {
    match timeout(HELLO_MAX, connection.rx.receive()).await.map_err(|_| TransferError::Ended)?? {
        Some(Received::Frame(frame)) if frame.kind == kind => Ok(frame),
        Some(Received::Frame(frame)) => Err(TransferError::Unexpected(frame.kind)),
        Some(Received::Unsupported(_)) => Err(TransferError::Unexpected(Kind::Unsupported)),
        None => Err(TransferError::Ended),
    }
}

/// Answers whether there was somebody who heard it.
pub(super) async fn refuse(mut connection: Connection, reason: &str) -> bool {
    let is_said = connection.tx.send(Kind::Refused, RequestId(1), reason).await.is_ok();
    // It is the node that ends the link, once it has read the reason.
    let is_heard = is_said && timeout(HELLO_MAX, connection.link.closed()).await.is_ok();
    connection.link.close(CloseCode::NotPermitted, reason);
    is_heard
}
