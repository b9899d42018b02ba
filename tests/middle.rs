//! Somebody between a master and a node that it is being paired with: a real relay, with a TLS session to either side.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use fleet_agent::net::pairing;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    version::TLS13,
};

use super::{
    fleet::{Fleet, Waiting, pair, until},
    puppet::{authority, runtime},
};

/// Of one read.
const PIECE_BYTES: usize = 64 << 10;

/// Takes any certificate, as the master must; and has none but its own to show.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("only TLS 1.3 is spoken")
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn to_the_master() -> quinn::Endpoint {
    let pem = authority().to_pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&[&TLS13]).unwrap();
    let mut tls = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    tls.alpn_protocols = vec![pairing::ALPN.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn to_the_node() -> quinn::Endpoint {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&[&TLS13]).unwrap();
    let mut tls = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(Arc::new(default_provider())))).with_no_client_auth();
    tls.alpn_protocols = vec![pairing::ALPN.to_vec()];
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap())));
    endpoint
}

/// Carries what one side says to the other, and counts it.
async fn carry(mut from: quinn::RecvStream, mut to: quinn::SendStream, carried: Arc<AtomicUsize>) {
    while let Ok(Some(piece)) = from.read_chunk(PIECE_BYTES, true).await {
        carried.fetch_add(piece.bytes.len(), Ordering::Relaxed);
        if to.write_chunk(piece.bytes).await.is_err() {
            return;
        }
    }
    // It may have been closed meanwhile.
    let _ = to.finish();
}

/// Sits between whoever dials and a node. Both sides speak with it alone, each in a session that TLS finds in order.
async fn relay(near: quinn::Endpoint, node: SocketAddr, carried: [Arc<AtomicUsize>; 2]) {
    let far = to_the_node();
    while let Some(incoming) = near.accept().await {
        let Ok(master) = incoming.await else { continue };
        let Ok((master_tx, master_rx)) = master.accept_bi().await else { continue };
        let node = far.connect(node, "pair.bitacora.internal").unwrap().await.unwrap();
        let (node_tx, node_rx) = node.open_bi().await.unwrap();
        let [to_node, to_master] = carried.clone();
        tokio::join!(carry(master_rx, node_tx, to_node), carry(node_rx, master_tx, to_master));
    }
}

#[test]
fn whoever_sits_in_the_middle_of_a_pairing_gets_nothing_and_the_right_code_is_not_lost() {
    let fleet = Fleet::new();
    let mut waiting = Waiting::start(&fleet, "ada");
    let (address, code) = (waiting.address(), waiting.code());
    let runtime = runtime();
    let entered = runtime.enter();
    let near = to_the_master();
    drop(entered);
    let between = near.local_addr().unwrap().to_string();
    let carried = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let relaying = runtime.spawn(relay(near, address.parse().unwrap(), carried.clone()));
    assert_eq!(pair(&fleet, &[&between], &code), Some(4), "the code was right, the session was not");
    assert!(carried.iter().all(|bytes| bytes.load(Ordering::Relaxed) > 0), "both spoke through it");
    waiting.line("a wrong pairing code");
    assert!(fleet.nodes().is_empty());
    relaying.abort();
    // The node takes no code for a while after a wrong one.
    until(|| pair(&fleet, &[&address], &code) == Some(0));
    fleet.wait_for("ada", "healthy");
}
