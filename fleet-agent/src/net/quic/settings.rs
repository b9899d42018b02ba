//! Every number of the carriers, with its reason; and the keys by which a restarted listener is recognised.

use std::{path::Path, sync::Arc, time::Duration};

use quinn::{
    EndpointConfig, IdleTimeout, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use quinn_proto::HashedConnectionIdGenerator;

use crate::net::{
    carrier::CarrierError,
    tls::{TlsError, private_file, random},
};

/// Received before an attempt to connect is looked at; its first packet is not counted. No early data is used.
const INCOMING_BYTES_MAX: u64 = 16 << 10;
const KEYS_FILE: &str = "listener.key";
const SECRET_BYTES: usize = 32;

/// Limits and times. Those about UDP, windows and round trips are QUIC's alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After this time without other traffic a packet is sent, and again until it is answered; keeps the mappings of NATs alive.
    /// Heartbeats come more often but in the largest fleets.
    pub keep_alive: Duration,
    /// After this silence a connection is lost. The smaller value of the two sides holds.
    pub idle_max: Duration,
    /// Assumed before anything was measured. The standard's 333 ms makes a lost first packet expensive.
    pub initial_rtt: Duration,
    /// For the handshake and, on the side that was dialled, the first bytes on the control stream.
    pub handshake_max: Duration,
    /// For a frame, from its first byte to its last: a sender of one byte a minute holds memory no longer.
    pub frame_max: Duration,
    /// Handshakes in progress; more are refused.
    pub handshakes_max: usize,
    /// From so many handshakes in progress on, a dialler must first prove that its address is its own.
    pub validated_from: usize,
    /// Transfers that the peer may have open at the same time; one more stream is the control stream.
    pub transfers_max: u32,
    /// Sent and not yet read, on one stream: bandwidth times delay of 1 GB/s over 8 ms.
    pub stream_window_bytes: u32,
    /// The same over all streams, so that stalled transfers cannot stop the control stream by themselves.
    pub connection_window_bytes: u32,
    /// Written and not yet acknowledged, over all streams.
    pub send_window_bytes: u32,
    /// Asked of the system for each direction. Its usual 208 KiB lost thousands of packets of each large transfer.
    pub udp_buffer_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            keep_alive: Duration::from_secs(5),
            idle_max: Duration::from_secs(10),
            initial_rtt: Duration::from_millis(30),
            handshake_max: Duration::from_secs(5),
            frame_max: Duration::from_secs(60),
            handshakes_max: 256,
            validated_from: 32,
            transfers_max: 64,
            stream_window_bytes: 8 << 20,
            connection_window_bytes: 64 << 20,
            send_window_bytes: 32 << 20,
            udp_buffer_bytes: 4 << 20,
        }
    }
}

impl Settings {
    fn transport(&self) -> Result<Arc<TransportConfig>, CarrierError> {
        let mut transport = TransportConfig::default();
        let idle_max = IdleTimeout::try_from(self.idle_max).map_err(|_| CarrierError::Setting("idle_max"))?;
        transport
            .keep_alive_interval(Some(self.keep_alive))
            .max_idle_timeout(Some(idle_max))
            .initial_rtt(self.initial_rtt)
            .max_concurrent_bidi_streams(VarInt::from_u32(self.transfers_max.saturating_add(1)))
            // Neither is used; a peer that opens them wastes our memory.
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .stream_receive_window(VarInt::from_u32(self.stream_window_bytes))
            .receive_window(VarInt::from_u32(self.connection_window_bytes))
            .send_window(self.send_window_bytes.into());
        Ok(Arc::new(transport))
    }

    pub(crate) fn server(&self, tls: rustls::ServerConfig) -> Result<quinn::ServerConfig, CarrierError> {
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        config
            .transport_config(self.transport()?)
            .max_incoming(self.handshakes_max)
            .incoming_buffer_size(INCOMING_BYTES_MAX)
            .incoming_buffer_size_total(INCOMING_BYTES_MAX * self.handshakes_max as u64);
        Ok(config)
    }

    pub(crate) fn client(&self, tls: rustls::ClientConfig) -> Result<quinn::ClientConfig, CarrierError> {
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(self.transport()?);
        Ok(config)
    }
}

/// What a listener keeps over restarts. With it, packets of connections from its earlier life are answered by a reset
/// that their senders can verify; without it they would wait for the idle time-out.
///
/// It takes both: the ids must look like ours for a reset to be sent, and the reset must be signed to be believed.
pub struct ListenerKeys {
    reset: [u8; 32],
    connection_ids: u64,
}

impl ListenerKeys {
    /// From the folder's file, which is made at first use.
    pub fn load_or_create(folder: &Path) -> Result<ListenerKeys, TlsError> {
        match private_file::read(folder, KEYS_FILE) {
            Err(TlsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let secret = random::<SECRET_BYTES>()?;
                private_file::write(folder, KEYS_FILE, &secret)?;
                Ok(ListenerKeys::derive(&secret))
            }
            Err(error) => Err(error),
            // Another length is damage; a new secret would only be missed by connections of the earlier life.
            Ok(bytes) => Ok(ListenerKeys::derive(&bytes)),
        }
    }

    /// For a listener whose earlier life need not be recognised.
    pub fn fresh() -> Result<ListenerKeys, TlsError> {
        random::<SECRET_BYTES>().map(|secret| ListenerKeys::derive(&secret))
    }

    fn derive(secret: &[u8]) -> ListenerKeys {
        let ids = blake3::derive_key("bitacora 2026-11-21 quic connection ids", secret);
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = ids;
        ListenerKeys {
            reset: blake3::derive_key("bitacora 2026-11-21 quic stateless reset", secret),
            connection_ids: u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        }
    }

    pub(crate) fn endpoint_config(&self) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.reset)));
        let key = self.connection_ids;
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(key)));
        config
    }
}
