//! Agents and masters on loopback, honest and otherwise.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use quinn::ConnectionError;
use rustls::{ServerConfig, pki_types::CertificateSigningRequestDer, version::TLS13};
use tokio::{task::JoinHandle, time::timeout};

use super::*;
use bitacora_core::ids::{NodeId, TokenId};

use crate::net::{
    carrier::Carrier,
    codec::{Kind, Received, RequestId},
    quic::{ListenerKeys, Settings},
    strangers::{Dialled, StrangerListener},
    tls::{
        Authority, Identity, NodeKey, Role,
        tests::{authority, identity, today},
        without_resumption,
    },
    websocket::{self, Ended},
};

/// Ends a test that hangs; no assertion depends on it.
const TEST_MAX: Duration = Duration::from_secs(60);

/// Open tokens in memory.
#[derive(Default)]
struct Ledger(Mutex<BTreeMap<TokenId, (TokenKey, Grant)>>);

impl Tokens for Ledger {
    async fn key(&self, token: TokenId) -> Option<TokenKey> {
        self.0.lock().unwrap().get(&token).map(|(key, _)| key.clone())
    }

    async fn consume(&self, token: TokenId) -> Option<Grant> {
        self.0.lock().unwrap().remove(&token).map(|(_, grant)| grant)
    }
}

/// A master that answers everybody who comes, and what it thought of them.
struct Master {
    authority: Arc<Authority>,
    ledger: Arc<Ledger>,
    address: SocketAddr,
    task: JoinHandle<()>,
    outcomes: tokio::sync::mpsc::Receiver<Result<Joined, JoinError>>,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Master {
    fn open() -> Master {
        let authority = Arc::new(authority());
        let ledger = Arc::new(Ledger::default());
        let mut listener = JoinListener::open((Ipv4Addr::LOCALHOST, 0).into(), &identity(&authority, 1, Role::Master)).unwrap();
        let (address, (tx, outcomes)) = (listener.local_address().unwrap(), tokio::sync::mpsc::channel(16));
        let (signer, tokens) = (Arc::clone(&authority), Arc::clone(&ledger));
        let task = tokio::spawn(async move {
            while let Some(candidate) = listener.accept().await {
                let Ok(candidate) = candidate else { continue };
                let (signer, tokens, tx) = (Arc::clone(&signer), Arc::clone(&tokens), tx.clone());
                tokio::spawn(async move { tx.send(candidate.answer(&signer, &*tokens).await).await });
            }
        });
        Master { authority, ledger, address, task, outcomes }
    }

    fn issue(&self, node: u64) -> JoinToken {
        let token = JoinToken::issue(self.authority.fingerprint()).unwrap();
        let grant = Grant { node: NodeId(node), roles: Role::Worker.into(), validity: today() };
        self.ledger.0.lock().unwrap().insert(token.id(), (token.key(), grant));
        token
    }

    fn is_open(&self, token: &JoinToken) -> bool {
        self.ledger.0.lock().unwrap().contains_key(&token.id())
    }

    async fn outcome(&mut self) -> Result<Joined, JoinError> {
        timeout(TEST_MAX, self.outcomes.recv()).await.expect("the test hangs").unwrap()
    }
}

async fn join_with(address: SocketAddr, carrier: Carrier, token: &JoinToken) -> Result<Identity, JoinError> {
    timeout(TEST_MAX, join(&[below(address)], &[carrier], token)).await.expect("the test hangs")
}

/// Where the nodes of a master link who hears those that join here.
fn below(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() - 1)
}

/// A candidate that speaks the protocol by hand.
struct Hand(Dialled);

impl Hand {
    async fn dial(address: SocketAddr, carrier: Carrier, token: &JoinToken) -> Hand {
        Hand(agent::dial(address, carrier, token).await.unwrap())
    }

    async fn ask(&mut self, token: &JoinToken, proof: blake3::Hash, request: &CertificateSigningRequestDer<'_>) -> Option<Kind> {
        let body = Request { token: Octets(token.id().0.to_vec()), request: Octets(request.to_vec()), proof: Octets(proof.as_bytes().to_vec()) };
        self.0.stranger.stream.tx.send(Kind::JoinRequest, RequestId(1), &body).await.ok()?;
        match timeout(TEST_MAX, self.0.stranger.stream.rx.receive()).await.expect("the test hangs") {
            Ok(Some(Received::Frame(frame))) => Some(frame.kind),
            Ok(Some(Received::Unsupported(what))) => panic!("{what:?}"),
            // Over TCP the end of the stream overtakes that of the connection.
            Ok(None) => None,
            Err(CarrierError::Lost(ConnectionError::ApplicationClosed(_)) | CarrierError::Over(Ended::Peer { .. })) => None,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn holder_of_a_token_joins() {
    let mut master = Master::open();
    for carrier in Carrier::ALL {
        let token = master.issue(42);
        let identity = join_with(master.address, carrier, &token).await.unwrap();
        assert_eq!((identity.peer().node, identity.peer().roles), (NodeId(42), Role::Worker.into()));
        assert_eq!(identity.authority_fingerprint(), master.authority.fingerprint());
        let joined = master.outcome().await.unwrap();
        assert_eq!((joined.token, joined.grant.node, &joined.certificate), (token.id(), NodeId(42), identity.certificate()));
    }
}

#[tokio::test]
async fn the_next_carrier_is_tried_where_nobody_hears_the_first() {
    let (master, token) = (Master::open(), JoinToken::issue(authority().fingerprint()).unwrap());
    let nobody = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let carriers = [Carrier::WebSocket, Carrier::Quic];
    let unheard = join(&[below(nobody)], &carriers[..1], &token).await.unwrap_err();
    assert!(unheard.is_unreached(), "{unheard:?}");
    let token = master.issue(42);
    assert_eq!(join(&[below(nobody), below(master.address)], &carriers, &token).await.unwrap().peer().node, NodeId(42));
}

#[tokio::test]
async fn a_paused_listener_hears_nobody_on_either_carrier() {
    let authority = authority();
    let master = identity(&authority, 1, Role::Master);
    let mut listener = JoinListener::open((Ipv4Addr::LOCALHOST, 0).into(), &master).unwrap();
    let (address, token) = (listener.local_address().unwrap(), JoinToken::issue(authority.fingerprint()).unwrap());
    listener.pause();
    let accepting = tokio::spawn(async move {
        // Until somebody is let in.
        while let Some(Err(_)) = listener.accept().await {}
    });
    for carrier in Carrier::ALL {
        assert!(join_with(address, carrier, &token).await.is_err());
    }
    assert!(!accepting.is_finished(), "somebody was let in");
    accepting.abort();
}

#[tokio::test]
async fn token_works_once() {
    let mut master = Master::open();
    for carrier in Carrier::ALL {
        let token = master.issue(42);
        join_with(master.address, carrier, &token).await.unwrap();
        master.outcome().await.unwrap();
        for again in Carrier::ALL {
            assert!(matches!(join_with(master.address, again, &token).await, Err(JoinError::Refused)));
            // The agent gave up after its one try.
            assert!(master.outcome().await.is_err());
        }
    }
}

#[tokio::test]
async fn token_spent_by_another_meanwhile_is_refused() {
    /// Still knows the key of a token that is spent.
    struct Late(TokenKey);
    impl Tokens for Late {
        async fn key(&self, _: TokenId) -> Option<TokenKey> {
            Some(self.0.clone())
        }
        async fn consume(&self, _: TokenId) -> Option<Grant> {
            None
        }
    }
    let authority = authority();
    let mut listener = JoinListener::open((Ipv4Addr::LOCALHOST, 0).into(), &identity(&authority, 1, Role::Master)).unwrap();
    let token = JoinToken::issue(authority.fingerprint()).unwrap();
    let address = listener.local_address().unwrap();
    let answer = async { listener.accept().await.unwrap().unwrap().answer(&authority, &Late(token.key())).await };
    let (joined, _) = tokio::join!(join_with(address, Carrier::Quic, &token), answer);
    assert!(matches!(joined, Err(JoinError::Refused)));
}

#[tokio::test]
async fn unknown_token_is_refused() {
    let master = Master::open();
    let guess = JoinToken::issue(master.authority.fingerprint()).unwrap();
    for carrier in Carrier::ALL {
        assert!(matches!(join_with(master.address, carrier, &guess).await, Err(JoinError::Refused)));
    }
}

#[tokio::test]
async fn three_wrong_proofs_end_the_connection_and_not_the_token() {
    let mut master = Master::open();
    for carrier in Carrier::ALL {
        let token = master.issue(42);
        let mut hand = Hand::dial(master.address, carrier, &token).await;
        let request = NodeKey::generate().unwrap().request().unwrap();
        let right = proof::agent(&token.key(), &hand.0.stranger.material, token.id(), &request);
        let wrong = blake3::hash(b"a guess");
        let mut answers = Vec::new();
        for _ in 0..TRIES_MAX {
            answers.push(hand.ask(&token, wrong, &request).await);
        }
        assert_eq!(answers, [Some(Kind::Refused), Some(Kind::Refused), None]);
        assert_eq!(hand.ask(&token, right, &request).await, None);
        assert!(matches!(master.outcome().await, Err(JoinError::NotPermitted(Refusal::Proof))));
        assert!(master.is_open(&token));
    }
}

#[tokio::test]
async fn request_that_was_changed_on_its_way_is_refused() {
    let mut master = Master::open();
    let token = master.issue(42);
    let mut hand = Hand::dial(master.address, Carrier::Quic, &token).await;
    let (ours, theirs) = (NodeKey::generate().unwrap().request().unwrap(), NodeKey::generate().unwrap().request().unwrap());
    let proof = proof::agent(&token.key(), &hand.0.stranger.material, token.id(), &ours);
    assert_eq!(hand.ask(&token, proof, &theirs).await, Some(Kind::Refused));
    // Proved, but not signed with its own key.
    let mut broken = ours.to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let broken = broken.into();
    let proof = proof::agent(&token.key(), &hand.0.stranger.material, token.id(), &broken);
    assert_eq!(hand.ask(&token, proof, &broken).await, Some(Kind::Refused));
    assert!(master.is_open(&token));
    let proof = proof::agent(&token.key(), &hand.0.stranger.material, token.id(), &ours);
    assert_eq!(hand.ask(&token, proof, &ours).await, Some(Kind::JoinAnswer));
    hand.0.stranger.close(crate::net::carrier::CloseCode::Stopping, "");
    master.outcome().await.unwrap();
}

#[tokio::test]
async fn proof_from_another_session_is_refused() {
    let master = Master::open();
    let token = master.issue(42);
    let request = NodeKey::generate().unwrap().request().unwrap();
    for (there, here) in [(Carrier::Quic, Carrier::Quic), (Carrier::WebSocket, Carrier::WebSocket), (Carrier::Quic, Carrier::WebSocket)] {
        let elsewhere = Hand::dial(master.address, there, &token).await;
        let mut here = Hand::dial(master.address, here, &token).await;
        let replayed = proof::agent(&token.key(), &elsewhere.0.stranger.material, token.id(), &request);
        assert_eq!(here.ask(&token, replayed, &request).await, Some(Kind::Refused));
    }
}

/// Listeners with a chain of their own choice, on both carriers, and what the agent makes of them.
async fn join_at_chain(chain: Vec<rustls::pki_types::CertificateDer<'static>>, leaf: &Identity, token: &JoinToken) -> [JoinError; 2] {
    let builder = ServerConfig::builder_with_provider(crate::net::tls::provider()).with_protocol_versions(&[&TLS13]).unwrap();
    let tls = without_resumption(builder.with_no_client_auth().with_single_cert(chain, leaf.private_key()).unwrap(), ALPN);
    let mut listener = StrangerListener::open((Ipv4Addr::LOCALHOST, 0).into(), tls, terms()).unwrap();
    let address = listener.local_address().unwrap();
    // What the agent says of them is what counts.
    let accepting = tokio::spawn(async move { while listener.accept().await.is_some() {} });
    let errors = Carrier::ALL.map(|carrier| join_with(address, carrier, token));
    let [udp, tcp] = errors;
    let errors = [udp.await.unwrap_err(), tcp.await.unwrap_err()];
    accepting.abort();
    errors
}

fn are_refused_by_tls(errors: &[JoinError; 2]) -> bool {
    let [JoinError::Carrier(udp), JoinError::Carrier(tcp)] = errors else { return false };
    matches!(udp, CarrierError::Lost(ConnectionError::TransportError(_))) && matches!(tcp, CarrierError::Handshake(_))
}

#[tokio::test]
async fn man_in_the_middle_with_another_authority_learns_nothing() {
    let (ours, theirs) = (authority(), authority());
    let token = JoinToken::issue(ours.fingerprint()).unwrap();
    let middle = identity(&theirs, 1, Role::Master);
    let chain = vec![middle.certificate().clone(), theirs.certificate().clone()];
    let errors = join_at_chain(chain, &middle, &token).await;
    assert!(are_refused_by_tls(&errors), "{errors:?}");
    // Our authority's certificate is public: showing it beside a foreign one helps nobody.
    let chain = vec![middle.certificate().clone(), theirs.certificate().clone(), ours.certificate().clone()];
    let errors = join_at_chain(chain, &middle, &token).await;
    assert!(are_refused_by_tls(&errors), "{errors:?}");
}

#[tokio::test]
async fn worker_of_the_same_fleet_is_taken_for_no_master() {
    let authority = authority();
    let token = JoinToken::issue(authority.fingerprint()).unwrap();
    let worker = identity(&authority, 7, Role::Worker);
    let errors = join_at_chain(vec![worker.certificate().clone(), authority.certificate().clone()], &worker, &token).await;
    assert!(are_refused_by_tls(&errors), "{errors:?}");
}

#[tokio::test]
async fn master_that_does_not_know_the_secret_is_not_believed() {
    /// Believes every proof, as only a rogue does: its key is whatever the agent has, its own half is a guess.
    struct Rogue(TokenKey);
    impl Tokens for Rogue {
        async fn key(&self, _: TokenId) -> Option<TokenKey> {
            Some(self.0.clone())
        }
        async fn consume(&self, _: TokenId) -> Option<Grant> {
            Some(Grant { node: NodeId(666), roles: Role::Worker.into(), validity: today() })
        }
    }
    let authority = authority();
    let mut listener = JoinListener::open((Ipv4Addr::LOCALHOST, 0).into(), &identity(&authority, 1, Role::Master)).unwrap();
    let token = JoinToken::issue(authority.fingerprint()).unwrap();
    let address = listener.local_address().unwrap();
    let rogue = Rogue(TokenKey { agent: token.key().agent, master: [0; 32] });
    let answer = async { listener.accept().await.unwrap().unwrap().answer(&authority, &rogue).await };
    let (joined, _) = tokio::join!(join_with(address, Carrier::Quic, &token), answer);
    assert!(matches!(joined, Err(JoinError::MasterProof)));
}

#[tokio::test]
async fn node_of_the_fleet_cannot_work_over_the_join_port() {
    let master = Master::open();
    let worker = identity(&master.authority, 7, Role::Worker);
    let keys = ListenerKeys::fresh().unwrap();
    let (endpoint, _listener) = crate::net::quic::Endpoint::open((Ipv4Addr::LOCALHOST, 0).into(), &worker, &keys, Settings::default()).unwrap();
    let error = endpoint.dial(master.address, NodeId(1)).await.unwrap_err();
    assert!(matches!(error, CarrierError::Lost(ConnectionError::ConnectionClosed(_))), "{error:?}");
    let error = websocket::Endpoint::new(&worker, Settings::default()).unwrap().dial(master.address, NodeId(1)).await.unwrap_err();
    assert!(matches!(error, CarrierError::Handshake(_)), "{error:?}");
}
