//! A connection with somebody who was not let in yet: one stream of small frames, and what binds a proof to this session.

use std::net::SocketAddr;

use super::{CarrierError, CloseCode, Transfer, Way, streams::Streams};
use crate::net::{quic::Settings, websocket::Trunk};

/// Keying material that TLS exports (RFC 5705): the same at the two ends of one session, and nowhere else.
pub(crate) type Material = [u8; 32];

/// What both ends hold to.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The application protocol.
    pub(crate) protocol: &'static [u8],
    /// Of the exported material; RFC 5705 asks for the prefix `EXPORTER`.
    pub(crate) label: &'static [u8],
    /// What a frame may weigh.
    pub(crate) frame_bytes_max: u32,
    pub(crate) settings: Settings,
}

#[derive(Debug)]
pub(crate) struct Stranger {
    way: Way,
    pub(crate) material: Material,
    pub(crate) stream: Transfer,
}

impl Stranger {
    pub(crate) fn over_quic(connection: quinn::Connection, streams: impl Into<Streams>, terms: &Terms) -> Stranger {
        let mut material = Material::default();
        connection.export_keying_material(&mut material, terms.label, b"").expect("TLS exports 32 bytes after any handshake");
        Stranger { way: Way::Quic(connection), material, stream: terms.stream(streams) }
    }

    pub(crate) fn over_websocket(trunk: Trunk, material: Material, streams: impl Into<Streams>, terms: &Terms) -> Stranger {
        Stranger { way: Way::WebSocket(trunk), material, stream: terms.stream(streams) }
    }

    pub(crate) fn remote_address(&self) -> SocketAddr {
        self.way.remote_address()
    }

    /// Ends the connection at once. `reason` is for people.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        self.way.close(code, reason);
    }

    /// Waits for the end, whoever brings it about.
    pub(crate) async fn closed(&self) -> CarrierError {
        self.way.closed().await
    }
}

impl Terms {
    fn stream(&self, streams: impl Into<Streams>) -> Transfer {
        Transfer::with_stranger(streams, self.settings.frame_max, self.frame_bytes_max)
    }
}
