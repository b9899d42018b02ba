//! Bytes, names and connections of a fleet.
//!
//! - [`codec`] turns messages into bounded frames and back.
//! - [`tls`] is who may speak: the fleet's authority, its nodes' certificates, and what they say of a node.
//! - [`quic`] carries frames between two nodes that trust one another.
//! - [`transfer`] brings blobs from one to the other.
//! - [`join`] makes a node that holds a one-time token into one of the fleet.
//!
//! Nothing here decides about the fleet, and nothing here speaks without TLS 1.3.

pub mod codec;
pub mod join;
pub mod quic;
pub mod tls;
pub mod transfer;
