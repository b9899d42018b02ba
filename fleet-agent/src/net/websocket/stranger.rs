//! Connections with those who have no certificate yet: TLS as the caller wants it, and the control stream alone.

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, CommonState, Error, ServerConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_tungstenite::{accept_async_with_config, client_async_with_config};

use super::{
    endpoint::{config, prepare, upgrade_error},
    lives::Lives,
    trunk::{Side, Socket},
};
use crate::net::{
    carrier::{CarrierError, Material, Stranger, Terms},
    tls::TlsError,
};

/// Dials within the time that the terms give a handshake.
pub(crate) async fn dial(address: SocketAddr, tls: ClientConfig, name: &'static str, terms: &Terms) -> Result<Stranger, CarrierError> {
    let dialled = async {
        let tcp = TcpStream::connect(address).await.map_err(|source| CarrierError::Reach { address, source })?;
        prepare(&tcp).map_err(|source| CarrierError::Reach { address, source })?;
        let server = ServerName::try_from(name).expect("a constant that is a name");
        let stream = TlsConnector::from(Arc::new(tls)).connect(server, tcp).await.map_err(CarrierError::Handshake)?;
        let session = stream.get_ref().1;
        let material = checked(session, session.export_keying_material(Material::default(), terms.label, Some(b"")), terms)?;
        let upgraded = client_async_with_config(format!("wss://{name}/"), TlsStream::from(stream), Some(config())).await.map_err(upgrade_error)?;
        begin(&Lives::new(1), upgraded.0, address, Side::Dialler, material, terms)
    };
    timeout(terms.settings.handshake_max, dialled).await.unwrap_or(Err(CarrierError::HandshakeTime))
}

/// Answers one who dialled, if there is a place among the lives.
pub(crate) async fn answer(tcp: TcpStream, address: SocketAddr, tls: Arc<ServerConfig>, terms: Terms, lives: Lives) -> Result<Stranger, CarrierError> {
    prepare(&tcp).map_err(|source| CarrierError::Reach { address, source })?;
    let stream = TlsAcceptor::from(tls).accept(tcp).await.map_err(CarrierError::Handshake)?;
    let session = stream.get_ref().1;
    let material = checked(session, session.export_keying_material(Material::default(), terms.label, Some(b"")), &terms)?;
    let upgraded = accept_async_with_config(TlsStream::from(stream), Some(config())).await.map_err(upgrade_error)?;
    begin(&lives, upgraded, address, Side::Listener, material, &terms)
}

fn checked(session: &CommonState, exported: Result<Material, Error>, terms: &Terms) -> Result<Material, CarrierError> {
    if session.alpn_protocol() != Some(terms.protocol) {
        return Err(CarrierError::Protocol);
    }
    Ok(exported.map_err(TlsError::Config)?)
}

fn begin(lives: &Lives, socket: Socket, address: SocketAddr, side: Side, material: Material, terms: &Terms) -> Result<Stranger, CarrierError> {
    let (trunk, control) = lives.begin(socket, address, side, &terms.settings)?;
    Ok(Stranger::over_websocket(trunk, material, control, terms))
}
