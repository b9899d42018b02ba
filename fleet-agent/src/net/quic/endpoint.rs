//! The two ends of the carrier: the one that dials and the one that is dialled, on one socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use quinn::{Connecting, TokioRuntime};
use tokio::time::timeout;

use super::{CloseCode, Connection, FailedHandshake, Gate, ListenerKeys, QuicError, Settings, UdpBuffers, bind};
use bitacora_core::ids::NodeId;

use crate::net::tls::{self, Identity, node_name};

/// For telling everybody goodbye; who has not answered by then hears of it by our silence.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// Dials other nodes. Clones share the socket.
#[derive(Clone, Debug)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    client: quinn::ClientConfig,
    settings: Arc<Settings>,
    buffers: UdpBuffers,
}

/// Is dialled by other nodes. One task owns it.
#[derive(Debug)]
pub struct Listener {
    gate: Gate<Connection>,
    frame_max: Duration,
}

impl Endpoint {
    /// Opens the socket. To be called inside a tokio runtime.
    pub fn open(address: SocketAddr, identity: &Identity, keys: &ListenerKeys, settings: Settings) -> Result<(Endpoint, Listener), QuicError> {
        let (socket, buffers) = bind(address, settings.udp_buffer_bytes)?;
        let server = settings.server(tls::server_config(identity)?)?;
        let client = settings.client(tls::client_config(identity)?)?;
        let quinn = quinn::Endpoint::new(keys.endpoint_config(), Some(server), socket, Arc::new(TokioRuntime));
        let quinn = quinn.map_err(|source| QuicError::Bind { address, source })?;
        let listener = Listener { gate: Gate::new(quinn.clone(), &settings), frame_max: settings.frame_max };
        Ok((Endpoint { quinn, client, settings: Arc::new(settings), buffers }, listener))
    }

    /// Connects to a node, and to that node only. The first frame is the dialler's to send.
    pub async fn dial(&self, address: SocketAddr, expected: NodeId) -> Result<Connection, QuicError> {
        let connecting = self.quinn.connect_with(self.client.clone(), address, &node_name(expected))?;
        let dialled = timeout(self.settings.handshake_max, dialled(connecting, self.settings.frame_max)).await;
        let connection = dialled.unwrap_or(Err(QuicError::HandshakeTime))?;
        match connection.link.peer().node {
            found if found == expected => Ok(connection),
            found => Err(QuicError::AnotherNode { expected, found }),
        }
    }

    /// From now on both sides use a renewed certificate. Connections that are open keep theirs.
    pub fn renew(&mut self, identity: &Identity) -> Result<(), QuicError> {
        self.client = self.settings.client(tls::client_config(identity)?)?;
        self.quinn.set_server_config(Some(self.settings.server(tls::server_config(identity)?)?));
        Ok(())
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    pub fn udp_buffers(&self) -> UdpBuffers {
        self.buffers
    }

    /// Handshakes accepted, refused and begun since the start.
    pub fn stats(&self) -> quinn::EndpointStats {
        self.quinn.stats()
    }

    /// Says goodbye on every connection and waits until that was heard, within a limit.
    pub async fn close_cleanly(&self) {
        self.quinn.close(CloseCode::Stopping.into(), b"stopping");
        // Whether everybody heard it makes no difference any more.
        let _ = timeout(CLOSE_MAX, self.quinn.wait_idle()).await;
    }
}

impl Listener {
    /// The next node that dialled, verified, or who failed to. `None` when the endpoint was closed.
    ///
    /// Ready when the first bytes on the control stream have arrived. Cancel-safe.
    pub async fn accept(&mut self) -> Option<Result<Connection, FailedHandshake>> {
        let frame_max = self.frame_max;
        self.gate.next(|connecting| answered(connecting, frame_max)).await
    }
}

async fn dialled(connecting: Connecting, frame_max: Duration) -> Result<Connection, QuicError> {
    let quinn = connecting.await?;
    let control = quinn.open_bi().await?;
    Connection::new(quinn, control, frame_max)
}

async fn answered(connecting: Connecting, frame_max: Duration) -> Result<Connection, QuicError> {
    let quinn = connecting.await?;
    // Streams arrive in the order of their numbers: the first one is the control stream, whatever else came before it.
    let control = quinn.accept_bi().await?;
    Connection::new(quinn, control, frame_max)
}
