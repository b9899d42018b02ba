//! The two ends: the one that dials over TCP, and the one that is dialled.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use bitacora_core::ids::NodeId;
use rustls::{ClientConfig, CommonState, ServerConfig};
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_tungstenite::{
    accept_async_with_config, client_async_with_config,
    tungstenite::{Error, protocol::WebSocketConfig},
};

use super::{
    gate::Gate,
    lives::Lives,
    message::MESSAGE_BYTES_MAX,
    trunk::{Halves, Side, Socket},
};
use crate::net::{
    carrier::{CarrierError, CloseCode, Connection, FailedHandshake, Link, Renewal},
    quic::Settings,
    tls::{self, ALPN, Identity, Peer, RENEWAL_ALPN, node_name, peer, server_name},
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
    renewal: Arc<ClientConfig>,
    server: watch::Sender<Arc<ServerConfig>>,
    settings: Arc<Settings>,
    lives: Lives,
}

/// Is dialled by other nodes. One task owns it.
#[derive(Debug)]
pub struct Listener {
    gate: Gate<Arrival>,
    renewals: mpsc::Sender<Renewal>,
    server: watch::Receiver<Arc<ServerConfig>>,
    settings: Arc<Settings>,
    lives: Lives,
}

/// By the protocol that a dialler agreed on.
#[derive(Debug)]
enum Arrival {
    Node(Connection),
    Renewal(Renewal),
}

impl Endpoint {
    pub fn new(identity: &Identity, settings: Settings) -> Result<Endpoint, CarrierError> {
        let (server, _) = watch::channel(Arc::new(tls::listener_config(identity)?));
        let lives = Lives::new(CONNECTIONS_MAX);
        let (client, renewal) = (Arc::new(tls::client_config(identity)?), Arc::new(tls::renewal_client_config(identity)?));
        Ok(Endpoint { client, renewal, server, settings: Arc::new(settings), lives })
    }

    /// Opens a TCP socket to be dialled on; who may only renew a certificate is handed to `renewals`. To be called inside a tokio
    /// runtime.
    pub fn listen(&self, address: SocketAddr, renewals: mpsc::Sender<Renewal>) -> Result<Listener, CarrierError> {
        let (server, settings, lives) = (self.server.subscribe(), self.settings.clone(), self.lives.clone());
        Ok(Listener { gate: Gate::open(address, &settings)?, renewals, server, settings, lives })
    }

    /// Connects to a node, by its name. The first frame is the dialler's to send.
    pub async fn dial(&self, address: SocketAddr, expected: NodeId) -> Result<Connection, CarrierError> {
        let dialled = async {
            let (link, control) = self.dialled(&self.client, address, expected, ALPN).await?;
            Ok(Connection::new(link, control.into()))
        };
        timeout(self.settings.handshake_max, dialled).await.unwrap_or(Err(CarrierError::HandshakeTime))
    }

    /// Connects to a node, and to that node only, to ask it for another certificate.
    pub(crate) async fn dial_for_renewal(&self, address: SocketAddr, expected: NodeId) -> Result<Renewal, CarrierError> {
        let dialled = async {
            let (link, control) = self.dialled(&self.renewal, address, expected, RENEWAL_ALPN).await?;
            Ok(Renewal::new(link, control))
        };
        timeout(self.settings.handshake_max, dialled).await.unwrap_or(Err(CarrierError::HandshakeTime))
    }

    async fn dialled(&self, client: &Arc<ClientConfig>, address: SocketAddr, expected: NodeId, protocol: &[u8]) -> Result<(Link, Halves), CarrierError> {
        let tcp = TcpStream::connect(address).await.map_err(|source| CarrierError::Reach { address, source })?;
        prepare(&tcp).map_err(|source| CarrierError::Reach { address, source })?;
        let stream = TlsConnector::from(client.clone()).connect(server_name(expected), tcp).await.map_err(CarrierError::Handshake)?;
        let peer = verified(stream.get_ref().1, protocol)?;
        let address_in_words = format!("wss://{}/", node_name(expected));
        let upgraded = client_async_with_config(address_in_words, TlsStream::from(stream), Some(config())).await.map_err(upgrade_error)?;
        begin(&self.lives, upgraded.0, address, Side::Dialler, peer, &self.settings)
    }

    /// From now on both sides use a renewed certificate. Connections that are open keep theirs.
    pub fn renew(&mut self, identity: &Identity) -> Result<(), CarrierError> {
        self.client = Arc::new(tls::client_config(identity)?);
        self.renewal = Arc::new(tls::renewal_client_config(identity)?);
        self.server.send_replace(Arc::new(tls::listener_config(identity)?));
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
        let Listener { gate, renewals, server, settings, lives } = self;
        let handshake = |tcp, address| answered(TlsAcceptor::from(server.borrow().clone()), tcp, address, settings.clone(), lives.clone());
        loop {
            tokio::select! {
                () = lives.stopped() => return None,
                answered = gate.next(handshake) => match answered {
                    Ok(Arrival::Node(connection)) => return Some(Ok(connection)),
                    // Where nobody takes it, it is closed.
                    Ok(Arrival::Renewal(renewal)) => drop(renewals.try_send(renewal)),
                    Err(failed) => return Some(Err(failed)),
                },
            }
        }
    }
}

async fn answered(acceptor: TlsAcceptor, tcp: TcpStream, address: SocketAddr, settings: Arc<Settings>, lives: Lives) -> Result<Arrival, CarrierError> {
    prepare(&tcp).map_err(|source| CarrierError::Reach { address, source })?;
    let stream = acceptor.accept(tcp).await.map_err(CarrierError::Handshake)?;
    let session = stream.get_ref().1;
    let renews = session.alpn_protocol() == Some(RENEWAL_ALPN);
    let peer = verified(session, if renews { RENEWAL_ALPN } else { ALPN })?;
    let upgraded = accept_async_with_config(TlsStream::from(stream), Some(config())).await.map_err(upgrade_error)?;
    let (link, control) = begin(&lives, upgraded, address, Side::Listener, peer, &settings)?;
    if renews {
        return Ok(Arrival::Renewal(Renewal::new(link, control)));
    }
    // This TLS lets those through that may only renew.
    if peer.expires <= SystemTime::now() {
        link.close(CloseCode::Expired, "the certificate has expired");
        return Err(CarrierError::Expired);
    }
    Ok(Arrival::Node(Connection::new(link, control.into())))
}

fn begin(lives: &Lives, socket: Socket, address: SocketAddr, side: Side, peer: Peer, settings: &Settings) -> Result<(Link, Halves), CarrierError> {
    let (trunk, control) = lives.begin(socket, address, side, settings)?;
    Ok((Link::over_websocket(trunk, peer, settings.frame_max), control))
}

/// Who the verified peer is.
fn verified(session: &CommonState, protocol: &[u8]) -> Result<Peer, CarrierError> {
    if session.alpn_protocol() != Some(protocol) {
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
