//! Those who have no certificate yet: how they are dialled and how they are let in, over either carrier.
//!
//! Who is who is proved by what is said afterwards, over the one stream that there is, and bound to the session by what TLS
//! exports from it. Everything is small: nobody here has proved anything.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{Connecting, TokioRuntime};
use rustls::{ClientConfig, ServerConfig};
use tokio::{net::TcpStream, time::timeout};

use super::{
    carrier::{Carrier, CarrierError, CloseCode, FailedHandshake, Stranger, Terms},
    quic::{Gate, ListenerKeys, Settings, bind, check_protocol},
    websocket::{self, Lives},
};

/// What a frame may weigh.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 << 10;
/// From a frame's first byte to its last.
const FRAME_MAX: Duration = Duration::from_secs(10);
/// For the last words to those who are connected.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// Over TCP, those included that still say goodbye.
const CONNECTIONS_MAX: u32 = 64;

/// Of an application protocol, and the label under which its sessions export keying material.
pub(crate) fn terms(protocol: &'static [u8], label: &'static [u8]) -> Terms {
    Terms { protocol, label, frame_bytes_max: FRAME_BYTES_MAX, settings: settings() }
}

pub(crate) fn settings() -> Settings {
    Settings {
        handshakes_max: 32,
        validated_from: 8,
        transfers_max: 0,
        stream_window_bytes: 64 << 10,
        connection_window_bytes: 64 << 10,
        send_window_bytes: 64 << 10,
        udp_buffer_bytes: 256 << 10,
        frame_max: FRAME_MAX,
        ..Settings::default()
    }
}

/// Lets in whoever dials, to be heard on one stream: UDP and TCP of the same number.
#[derive(Debug)]
pub(crate) struct StrangerListener {
    quinn: quinn::Endpoint,
    udp: Gate<Stranger>,
    tcp: websocket::Gate<Stranger>,
    lives: Lives,
    /// What is shown to those who come over TCP; nothing while nobody is let in.
    tls: Option<Arc<ServerConfig>>,
    terms: Terms,
}

impl StrangerListener {
    /// Opens the sockets, TCP where it got UDP. To be called inside a tokio runtime.
    pub(crate) fn open(address: SocketAddr, tls: ServerConfig, terms: Terms) -> Result<StrangerListener, CarrierError> {
        let settings = &terms.settings;
        let (socket, _) = bind(address, settings.udp_buffer_bytes)?;
        let server = settings.server(tls.clone())?;
        let quinn = quinn::Endpoint::new(ListenerKeys::fresh()?.endpoint_config(), Some(server), socket, Arc::new(TokioRuntime));
        let bind_error = |source| CarrierError::Bind { address, source };
        let quinn = quinn.map_err(bind_error)?;
        let tcp = websocket::Gate::open(quinn.local_addr().map_err(bind_error)?, settings)?;
        let udp = Gate::new(quinn.clone(), settings);
        Ok(StrangerListener { quinn, udp, tcp, lives: Lives::new(CONNECTIONS_MAX), tls: Some(Arc::new(tls)), terms })
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.quinn.local_addr()
    }

    /// The next one; `None` when closed. Cancel-safe.
    pub(crate) async fn accept(&mut self) -> Option<Result<Stranger, FailedHandshake>> {
        let over_udp = |connecting| over_udp(connecting, self.terms.clone());
        let over_tcp = |tcp, address| over_tcp(tcp, address, self.tls.clone(), self.terms.clone(), self.lives.clone());
        tokio::select! {
            stranger = self.udp.next(over_udp) => stranger,
            stranger = self.tcp.next(over_tcp) => Some(stranger),
        }
    }

    /// Lets nobody in any more. Who was let in before can still be answered.
    pub(crate) fn pause(&mut self) {
        self.quinn.set_server_config(None);
        self.tls = None;
    }

    /// Listens again, and shows another certificate.
    pub(crate) fn resume(&mut self, tls: ServerConfig) -> Result<(), CarrierError> {
        self.quinn.set_server_config(Some(self.terms.settings.server(tls.clone())?));
        self.tls = Some(Arc::new(tls));
        Ok(())
    }

    /// Ends the listening and what is in progress, and gives the sockets back.
    pub(crate) async fn close(self, reason: &str) {
        self.quinn.close(CloseCode::Stopping.into(), reason.as_bytes());
        // Whether everybody heard it makes no difference.
        let _ = timeout(CLOSE_MAX, async { tokio::join!(self.quinn.wait_idle(), self.lives.end()) }).await;
    }
}

async fn over_udp(connecting: Connecting, terms: Terms) -> Result<Stranger, CarrierError> {
    let connection = connecting.await?;
    check_protocol(&connection, terms.protocol)?;
    let streams = connection.accept_bi().await?;
    Ok(Stranger::over_quic(connection, streams, &terms))
}

async fn over_tcp(tcp: TcpStream, address: SocketAddr, tls: Option<Arc<ServerConfig>>, terms: Terms, lives: Lives) -> Result<Stranger, CarrierError> {
    let tls = tls.ok_or(CarrierError::Protocol)?;
    websocket::stranger::answer(tcp, address, tls, terms, lives).await
}

/// Somebody who was dialled.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stranger: Stranger,
    /// The socket, where the connection needs one of its own.
    quinn: Option<quinn::Endpoint>,
}

impl Dialled {
    /// Ends the connection. Waits at most so long for the other side to hear it: its own limit ends the connection too.
    pub(crate) async fn close(self, heard_max: Duration) {
        self.stranger.close(CloseCode::Stopping, "done");
        if let Some(quinn) = self.quinn {
            let _ = timeout(heard_max, quinn.wait_idle()).await;
        }
    }
}

/// Dials within the time that the terms give a handshake. `name` is for SNI.
pub(crate) async fn dial(address: SocketAddr, carrier: Carrier, tls: ClientConfig, name: &'static str, terms: &Terms) -> Result<Dialled, CarrierError> {
    match carrier {
        Carrier::Quic => {
            let quinn = socket_to(address, tls, &terms.settings)?;
            let connecting = quinn.connect(address, name)?;
            let connection = timeout(terms.settings.handshake_max, connecting).await.map_err(|_| CarrierError::HandshakeTime)??;
            check_protocol(&connection, terms.protocol)?;
            let streams = connection.open_bi().await?;
            Ok(Dialled { stranger: Stranger::over_quic(connection, streams, terms), quinn: Some(quinn) })
        }
        Carrier::WebSocket => Ok(Dialled { stranger: websocket::stranger::dial(address, tls, name, terms).await?, quinn: None }),
    }
}

fn socket_to(address: SocketAddr, tls: ClientConfig, settings: &Settings) -> Result<quinn::Endpoint, CarrierError> {
    let local: SocketAddr = if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let (socket, _) = bind(local, settings.udp_buffer_bytes)?;
    let quinn = quinn::Endpoint::new(ListenerKeys::fresh()?.endpoint_config(), None, socket, Arc::new(TokioRuntime));
    let mut quinn = quinn.map_err(|source| CarrierError::Bind { address: local, source })?;
    quinn.set_default_client_config(settings.client(tls)?);
    Ok(quinn)
}
