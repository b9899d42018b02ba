//! Bytes, names and connections of a fleet.
//!
//! - [`codec`] turns messages into bounded frames and back.
//! - [`tls`] is who may speak: the fleet's authority, its nodes' certificates, and what they say of a node.
//! - [`carrier`] is a link between two nodes that trust one another, over [`quic`] or [`websocket`].
//! - [`transfer`] brings blobs from one to the other.
//! - [`measure`] says what a link can carry on this machine.
//! - [`join`] makes a node that holds a one-time token into one of the fleet.
//! - [`pairing`] does the same for a node that shows a code, which a person types at the master.
//! - [`race`] tries several ways to the same peer.
//! - `strangers` are those whom neither knows yet.
//! - [`renewal`] gives a node its next certificate.
//! - [`discovery`] finds nodes on the local network, as a hint.
//!
//! Nothing here decides about the fleet, and nothing here speaks without TLS 1.3.

pub mod carrier;
pub mod codec;
pub mod discovery;
pub mod join;
pub mod measure;
pub mod pairing;
pub mod quic;
pub mod race;
pub mod renewal;
mod strangers;
pub mod tls;
pub mod transfer;
pub mod websocket;
