//! The carrier that is tried first: QUIC over UDP.
//!
//! An [`Endpoint`] dials, a [`Listener`] is dialled; both share one UDP socket. What goes over the connection is
//! [`super::carrier`]'s matter.

mod endpoint;
mod gate;
mod settings;
mod socket;

pub(in crate::net) use self::endpoint::CONTROL_PRIORITY;
pub(crate) use self::{endpoint::check_protocol, gate::Gate, socket::bind};
pub use self::{
    endpoint::{Endpoint, Listener},
    settings::{ListenerKeys, Settings},
    socket::{Shortage, UdpBuffers},
};

#[cfg(test)]
mod tests;
