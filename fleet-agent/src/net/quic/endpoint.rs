//! The two ends: the one that dials and the one that is dialled, on one socket.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bitacora_core::ids::NodeId;
use quinn::{AsyncUdpSocket, Connecting, RecvStream, Runtime as _, SendStream, TokioRuntime};
use rustls::pki_types::CertificateDer;
use tokio::{sync::mpsc, time::timeout};

use super::{Gate, ListenerKeys, Settings, UdpBuffers, bind};
use crate::net::{
    carrier::{CarrierError, CloseCode, Connection, FailedHandshake, Link, Renewal},
    tls::{self, ALPN, Identity, Peer, RENEWAL_ALPN, node_name, peer},
};

/// Above the transfers, whose priority is 0.
pub(in crate::net) const CONTROL_PRIORITY: i32 = 1;
/// Diallers that wait to be taken who may only renew their certificate; more are sent away, and dial again.
const RENEWALS_MAX: usize = 64;
/// For telling everybody goodbye; who has not answered by then hears of it by our silence.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// Dials other nodes. Clones share the socket.
#[derive(Clone, Debug)]
pub struct Endpoint {
    quinn: quinn::Endpoint,
    client: quinn::ClientConfig,
    renewal: quinn::ClientConfig,
    settings: Arc<Settings>,
    buffers: UdpBuffers,
}

/// Is dialled by other nodes. One task owns it.
#[derive(Debug)]
pub struct Listener {
    gate: Gate<Arrival>,
    frame_max: Duration,
    renewals: mpsc::Sender<Renewal>,
    taken: Option<mpsc::Receiver<Renewal>>,
}

/// By the protocol that a dialler agreed on.
#[derive(Debug)]
enum Arrival {
    Node(Connection),
    Renewal(Renewal),
}

impl Endpoint {
    /// Opens the socket. To be called inside a tokio runtime.
    pub fn open(address: SocketAddr, identity: &Identity, keys: &ListenerKeys, settings: Settings) -> Result<(Endpoint, Listener), CarrierError> {
        let (socket, buffers) = bind(address, settings.udp_buffer_bytes)?;
        let socket = TokioRuntime.wrap_udp_socket(socket).map_err(|source| CarrierError::Bind { address, source })?;
        Endpoint::over(socket, buffers, identity, keys, settings)
    }

    /// The same over a socket that is there already.
    pub(in crate::net) fn over(
        socket: Arc<dyn AsyncUdpSocket>,
        buffers: UdpBuffers,
        identity: &Identity,
        keys: &ListenerKeys,
        settings: Settings,
    ) -> Result<(Endpoint, Listener), CarrierError> {
        let address = socket.local_addr().unwrap_or_else(|_| (Ipv4Addr::UNSPECIFIED, 0).into());
        let server = settings.server(tls::listener_config(identity)?)?;
        let client = settings.client(tls::client_config(identity)?)?;
        let renewal = settings.client(tls::renewal_client_config(identity)?)?;
        let (renewals, taken) = mpsc::channel(RENEWALS_MAX);
        let quinn = quinn::Endpoint::new_with_abstract_socket(keys.endpoint_config(), Some(server), socket, Arc::new(TokioRuntime));
        let quinn = quinn.map_err(|source| CarrierError::Bind { address, source })?;
        let listener = Listener { gate: Gate::new(quinn.clone(), &settings), frame_max: settings.frame_max, renewals, taken: Some(taken) };
        Ok((Endpoint { quinn, client, renewal, settings: Arc::new(settings), buffers }, listener))
    }

    /// Connects to a node, by its name. The first frame is the dialler's to send.
    pub async fn dial(&self, address: SocketAddr, expected: NodeId) -> Result<Connection, CarrierError> {
        let connecting = self.quinn.connect_with(self.client.clone(), address, &node_name(expected))?;
        let dialled = timeout(self.settings.handshake_max, dialled(connecting, self.settings.frame_max)).await;
        dialled.unwrap_or(Err(CarrierError::HandshakeTime))
    }

    /// Connects to a node, and to that node only, to ask it for another certificate.
    pub(crate) async fn dial_for_renewal(&self, address: SocketAddr, expected: NodeId) -> Result<Renewal, CarrierError> {
        let connecting = self.quinn.connect_with(self.renewal.clone(), address, &node_name(expected))?;
        let dialled = async {
            let connection = connecting.await?;
            check_protocol(&connection, RENEWAL_ALPN)?;
            renewal(connection.open_bi().await?, connection, self.settings.frame_max)
        };
        timeout(self.settings.handshake_max, dialled).await.unwrap_or(Err(CarrierError::HandshakeTime))
    }

    /// From now on both sides use a renewed certificate. Connections that are open keep theirs.
    pub fn renew(&mut self, identity: &Identity) -> Result<(), CarrierError> {
        self.client = self.settings.client(tls::client_config(identity)?)?;
        self.renewal = self.settings.client(tls::renewal_client_config(identity)?)?;
        self.quinn.set_server_config(Some(self.settings.server(tls::listener_config(identity)?)?));
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
        loop {
            match self.gate.next(|connecting| answered(connecting, frame_max)).await? {
                Ok(Arrival::Node(connection)) => return Some(Ok(connection)),
                // Where nobody takes it, it is closed.
                Ok(Arrival::Renewal(renewal)) => drop(self.renewals.try_send(renewal)),
                Err(failed) => return Some(Err(failed)),
            }
        }
    }

    /// Those who may only renew their certificate, as long as [`Listener::accept`] is awaited; `None` the second time.
    pub fn renewals(&mut self) -> Option<mpsc::Receiver<Renewal>> {
        self.taken.take()
    }

    /// Where whoever else is dialled puts them.
    pub(crate) fn renewals_found(&self) -> mpsc::Sender<Renewal> {
        self.renewals.clone()
    }
}

async fn dialled(connecting: Connecting, frame_max: Duration) -> Result<Connection, CarrierError> {
    let quinn = connecting.await?;
    let control = quinn.open_bi().await?;
    connection(quinn, control, frame_max)
}

async fn answered(connecting: Connecting, frame_max: Duration) -> Result<Arrival, CarrierError> {
    let quinn = connecting.await?;
    if check_protocol(&quinn, RENEWAL_ALPN).is_ok() {
        return renewal(quinn.accept_bi().await?, quinn, frame_max).map(Arrival::Renewal);
    }
    // Before it is waited for: whoever is shown out has no stream to open.
    refuse_expired(&quinn)?;
    // Streams arrive in the order of their numbers: the first one is the control stream, whatever else came before it.
    let control = quinn.accept_bi().await?;
    connection(quinn, control, frame_max).map(Arrival::Node)
}

fn renewal(stream: (SendStream, RecvStream), connection: quinn::Connection, frame_max: Duration) -> Result<Renewal, CarrierError> {
    let peer = verified(&connection)?;
    Ok(Renewal::new(Link::over_quic(connection, peer, frame_max), stream))
}

/// Reads who the verified peer is.
fn connection(quinn: quinn::Connection, control: (SendStream, RecvStream), frame_max: Duration) -> Result<Connection, CarrierError> {
    check_protocol(&quinn, ALPN)?;
    refuse_expired(&quinn)?;
    let peer = verified(&quinn)?;
    control.0.set_priority(CONTROL_PRIORITY).map_err(|_| CarrierError::StreamClosed)?;
    Ok(Connection::new(Link::over_quic(quinn, peer, frame_max), control.into()))
}

/// A listener's TLS lets those through that may only renew.
fn refuse_expired(quinn: &quinn::Connection) -> Result<(), CarrierError> {
    if verified(quinn)?.expires > SystemTime::now() {
        return Ok(());
    }
    quinn.close(CloseCode::Expired.into(), b"the certificate has expired");
    Err(CarrierError::Expired)
}

/// Who TLS has verified the peer to be.
fn verified(quinn: &quinn::Connection) -> Result<Peer, CarrierError> {
    let chain = quinn.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
    Ok(peer(chain.as_deref().and_then(|chain| chain.first()).ok_or(CarrierError::NoCertificate)?)?)
}

/// QUIC requires the protocol to be agreed on, so this only fails when a library changes its mind.
pub(crate) fn check_protocol(quinn: &quinn::Connection, expected: &[u8]) -> Result<(), CarrierError> {
    let agreed = quinn.handshake_data().and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
    match agreed.and_then(|data| data.protocol) {
        Some(protocol) if protocol == expected => Ok(()),
        Some(_) | None => Err(CarrierError::Protocol),
    }
}
