//! The two ends: the one that dials over TCP, and the one that is dialled.

use std::{net::SocketAddr, sync::Arc};

use bitacora_core::ids::NodeId;
use rustls::{ClientConfig, CommonState, ServerConfig};
use socket2::SockRef;
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_tungstenite::{
    accept_async_with_config, client_async_with_config,
    tungstenite::{Error, protocol::WebSocketConfig},
};

use super::{
    gate::Gate,
    lives::Lives,
    message::MESSAGE_BYTES_MAX,
    trunk::{Side, Socket},
};
use crate::net::{
    carrier::{CarrierError, Connection, FailedHandshake, Link},
    quic::Settings,
    tls::{self, ALPN, Identity, Peer, node_name, peer, server_name},
};

/// Connections of one endpoint; more are refused.
const CONNECTIONS_MAX: u32 = 8192;
/// What the system may hold of what was written: a command waits behind it. A second of a slow line.
const SEND_BUFFER_BYTES: usize = 512 << 10;
/// Of the WebSocket's own buffers, each way and connection.
const BUFFER_BYTES: usize = 64 << 10;

/// Dials other nodes. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Endpoint {
    client: Arc<ClientConfig>,
    server: watch::Sender<Arc<ServerConfig>>,
    settings: Arc<Settings>,
    lives: Lives,
}

/// Is dialled by other nodes. One task owns it.
#[derive(Debug)]
pub struct Listener {
    gate: Gate<Connection>,
    server: watch::Receiver<Arc<ServerConfig>>,
    settings: Arc<Settings>,
    lives: Lives,
}

impl Endpoint {
    pub fn new(identity: &Identity, settings: Settings) -> Result<Endpoint, CarrierError> {
        let (server, _) = watch::channel(Arc::new(tls::server_config(identity)?));
        let lives = Lives::new(CONNECTIONS_MAX);
        Ok(Endpoint { client: Arc::new(tls::client_config(identity)?), server, settings: Arc::new(settings), lives })
    }

    /// Opens a TCP socket to be dialled on. To be called inside a tokio runtime.
    pub fn listen(&self, address: SocketAddr) -> Result<Listener, CarrierError> {
        let (server, settings, lives) = (self.server.subscribe(), self.settings.clone(), self.lives.clone());
        Ok(Listener { gate: Gate::open(address, &settings)?, server, settings, lives })
    }

    /// Connects to a node, by its name. The first frame is the dialler's to send.
    pub async fn dial(&self, address: SocketAddr, expected: NodeId) -> Result<Connection, CarrierError> {
        timeout(self.settings.handshake_max, self.dialled(address, expected)).await.unwrap_or(Err(CarrierError::HandshakeTime))
    }

    async fn dialled(&self, address: SocketAddr, expected: NodeId) -> Result<Connection, CarrierError> {
        let tcp = TcpStream::connect(address).await.map_err(|source| CarrierError::Reach { address, source })?;
        prepare(&tcp).map_err(|source| CarrierError::Reach { address, source })?;
        let stream = TlsConnector::from(self.client.clone()).connect(server_name(expected), tcp).await.map_err(CarrierError::Handshake)?;
        let peer = verified(stream.get_ref().1)?;
        let address_in_words = format!("wss://{}/", node_name(expected));
        let upgraded = client_async_with_config(address_in_words, TlsStream::from(stream), Some(config())).await.map_err(upgrade_error)?;
        begin(&self.lives, upgraded.0, address, Side::Dialler, peer, &self.settings)
    }

    /// From now on both sides use a renewed certificate. Connections that are open keep theirs.
    pub fn renew(&mut self, identity: &Identity) -> Result<(), CarrierError> {
        self.client = Arc::new(tls::client_config(identity)?);
        self.server.send_replace(Arc::new(tls::server_config(identity)?));
        Ok(())
    }

    /// Says goodbye on every connection and waits until that was heard, within a limit.
    pub async fn close_cleanly(&self) {
        self.lives.end().await;
    }
}

impl Listener {
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.gate.local_address()
    }

    /// The next node that dialled, verified, or who failed to. `None` when the endpoint was closed. Cancel-safe.
    pub async fn accept(&mut self) -> Option<Result<Connection, FailedHandshake>> {
        let Listener { gate, server, settings, lives } = self;
        let handshake = |tcp, address| answered(TlsAcceptor::from(server.borrow().clone()), tcp, address, settings.clone(), lives.clone());
        tokio::select! {
            () = lives.stopped() => None,
            answered = gate.next(handshake) => Some(answered),
        }
    }
}

async fn answered(acceptor: TlsAcceptor, tcp: TcpStream, address: SocketAddr, settings: Arc<Settings>, lives: Lives) -> Result<Connection, CarrierError> {
    prepare(&tcp).map_err(|source| CarrierError::Reach { address, source })?;
    let stream = acceptor.accept(tcp).await.map_err(CarrierError::Handshake)?;
    let peer = verified(stream.get_ref().1)?;
    let upgraded = accept_async_with_config(TlsStream::from(stream), Some(config())).await.map_err(upgrade_error)?;
    begin(&lives, upgraded, address, Side::Listener, peer, &settings)
}

fn begin(lives: &Lives, socket: Socket, address: SocketAddr, side: Side, peer: Peer, settings: &Settings) -> Result<Connection, CarrierError> {
    let (trunk, control) = lives.begin(socket, address, side, settings)?;
    Ok(Connection::new(Link::over_websocket(trunk, peer, settings.frame_max), control.into()))
}

/// Who the verified peer is.
fn verified(session: &CommonState) -> Result<Peer, CarrierError> {
    if session.alpn_protocol() != Some(ALPN) {
        return Err(CarrierError::Protocol);
    }
    let chain = session.peer_certificates().unwrap_or_default();
    Ok(peer(chain.first().ok_or(CarrierError::NoCertificate)?)?)
}

pub(super) fn prepare(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_send_buffer_size(SEND_BUFFER_BYTES)
}

pub(super) fn upgrade_error(error: Error) -> CarrierError {
    CarrierError::Upgrade(Box::new(error))
}

pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(4 * BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}
