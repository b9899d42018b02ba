//! The UDP socket under a QUIC endpoint, and how much the system lets it buffer.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::net::carrier::CarrierError;

/// What was asked for and what the system granted; `doctor` says how to mend a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpBuffers {
    pub asked_bytes: usize,
    pub receive_bytes: usize,
    pub send_bytes: usize,
}

/// Buffers that are smaller than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system grants UDP buffers of {} KiB for receiving and {} KiB for sending where {} KiB were asked for",
    .0.receive_bytes >> 10,
    .0.send_bytes >> 10,
    .0.asked_bytes >> 10
)]
pub struct Shortage(UdpBuffers);

impl UdpBuffers {
    pub fn shortage(self) -> Option<Shortage> {
        (self.receive_bytes.min(self.send_bytes) < self.asked_bytes).then_some(Shortage(self))
    }
}

/// Binds; an unspecified IPv6 address takes IPv4 as well.
pub(crate) fn bind(address: SocketAddr, buffer_bytes: usize) -> Result<(UdpSocket, UdpBuffers), CarrierError> {
    let error = |source| CarrierError::Bind { address, source };
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).map_err(error)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified()).map_err(error)?;
    }
    let buffers = grow(&socket, buffer_bytes).map_err(error)?;
    socket.set_nonblocking(true).map_err(error)?;
    socket.bind(&address.into()).map_err(error)?;
    Ok((socket.into(), buffers))
}

fn grow(socket: &Socket, asked_bytes: usize) -> io::Result<UdpBuffers> {
    let socket = SockRef::from(socket);
    // Linux cuts the wish to its limit in silence, other systems refuse it whole: either way what counts is the answer.
    let _ = socket.set_recv_buffer_size(asked_bytes);
    let _ = socket.set_send_buffer_size(asked_bytes);
    Ok(UdpBuffers { asked_bytes, receive_bytes: usable(socket.recv_buffer_size()?), send_bytes: usable(socket.send_buffer_size()?) })
}

/// Linux doubles what is set, for its own records, and tells the doubled figure: see socket(7), `SO_RCVBUF`.
const fn usable(bytes: usize) -> usize {
    if cfg!(target_os = "linux") { bytes / 2 } else { bytes }
}
