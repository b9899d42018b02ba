//! The two ends of a link: the one that dials and the one that is dialled, by either carrier, on one port number.

use std::{io, net::SocketAddr, sync::Arc};

use bitacora_core::ids::NodeId;
use quinn::AsyncUdpSocket;
use tokio::sync::mpsc;

use super::{Carrier, CarrierError, Connection, FailedHandshake, Renewal};
use crate::net::{
    quic::{self, ListenerKeys, Settings, UdpBuffers},
    tls::Identity,
    websocket,
};

/// Dials other nodes. Clones share the socket.
#[derive(Clone, Debug)]
pub struct Endpoint {
    quic: quic::Endpoint,
    websocket: websocket::Endpoint,
}

/// Is dialled by other nodes. One task owns it.
#[derive(Debug)]
pub struct Listener {
    quic: quic::Listener,
    websocket: Option<websocket::Listener>,
}

impl Endpoint {
    /// Opens the UDP socket of a node that dials and is not dialled. To be called inside a tokio runtime.
    pub fn dialling(address: SocketAddr, identity: &Identity, keys: &ListenerKeys, settings: Settings) -> Result<Endpoint, CarrierError> {
        let websocket = websocket::Endpoint::new(identity, settings.clone())?;
        let (quic, _) = quic::Endpoint::open(address, identity, keys, settings)?;
        Ok(Endpoint { quic, websocket })
    }

    /// Opens a UDP and a TCP socket of the same number. To be called inside a tokio runtime.
    pub fn listening(address: SocketAddr, identity: &Identity, keys: &ListenerKeys, settings: Settings) -> Result<(Endpoint, Listener), CarrierError> {
        let websocket = websocket::Endpoint::new(identity, settings.clone())?;
        let (quic, quic_door) = quic::Endpoint::open(address, identity, keys, settings)?;
        let address = quic.local_address().map_err(|source| CarrierError::Bind { address, source })?;
        let websocket_door = websocket.listen(address, quic_door.renewals_found())?;
        Ok((Endpoint { quic, websocket }, Listener { quic: quic_door, websocket: Some(websocket_door) }))
    }

    /// QUIC alone, over a socket that is there already: one of a simulated network, for example.
    pub fn over(socket: Arc<dyn AsyncUdpSocket>, identity: &Identity, keys: &ListenerKeys, settings: Settings) -> Result<(Endpoint, Listener), CarrierError> {
        let websocket = websocket::Endpoint::new(identity, settings.clone())?;
        let (quic, quic_door) = quic::Endpoint::over(socket, UdpBuffers::default(), identity, keys, settings)?;
        Ok((Endpoint { quic, websocket }, Listener { quic: quic_door, websocket: None }))
    }

    /// Connects to a node, and to that node only. The first frame is the dialler's to send.
    pub async fn dial(&self, carrier: Carrier, address: SocketAddr, expected: NodeId) -> Result<Connection, CarrierError> {
        let connection = match carrier {
            Carrier::Quic => self.quic.dial(address, expected).await?,
            Carrier::WebSocket => self.websocket.dial(address, expected).await?,
        };
        match connection.link.peer().node {
            found if found == expected => Ok(connection),
            found => Err(CarrierError::AnotherNode { expected, found }),
        }
    }

    /// Connects to a node, and to that node only, to ask it for another certificate.
    pub(crate) async fn dial_for_renewal(&self, carrier: Carrier, address: SocketAddr, expected: NodeId) -> Result<Renewal, CarrierError> {
        match carrier {
            Carrier::Quic => self.quic.dial_for_renewal(address, expected).await,
            Carrier::WebSocket => self.websocket.dial_for_renewal(address, expected).await,
        }
    }

    /// From now on both sides use a renewed certificate. Connections that are open keep theirs.
    pub fn renew(&mut self, identity: &Identity) -> Result<(), CarrierError> {
        self.quic.renew(identity)?;
        self.websocket.renew(identity)
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.quic.local_address()
    }

    pub fn udp_buffers(&self) -> UdpBuffers {
        self.quic.udp_buffers()
    }

    /// Says goodbye on every connection and waits until that was heard, within a limit.
    pub async fn close_cleanly(&self) {
        tokio::join!(self.quic.close_cleanly(), self.websocket.close_cleanly());
    }
}

impl Listener {
    /// Those who may only renew their certificate, as long as [`Listener::accept`] is awaited; `None` the second time.
    pub fn renewals(&mut self) -> Option<mpsc::Receiver<Renewal>> {
        self.quic.renewals()
    }

    /// The next node that dialled, verified, or who failed to. `None` when the endpoint was closed. Cancel-safe.
    pub async fn accept(&mut self) -> Option<Result<Connection, FailedHandshake>> {
        let Some(websocket) = &mut self.websocket else { return self.quic.accept().await };
        tokio::select! {
            accepted = self.quic.accept() => accepted,
            accepted = websocket.accept() => accepted,
        }
    }
}
