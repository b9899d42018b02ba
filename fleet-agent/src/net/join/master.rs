//! The master's side: a listener that can do nothing but let nodes join.

use std::{io, net::SocketAddr};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, CertificateSigningRequestDer},
    version::TLS13,
};
use tokio::time::{Instant, timeout_at};

use super::{ALPN, Answer, EXCHANGE_MAX, JoinError, Refusal, Request, TRIES_MAX, TokenKey, proof, terms};
use bitacora_core::ids::{NodeId, TokenId};

use crate::net::{
    carrier::{CloseCode, FailedHandshake, Stranger},
    codec::{Frame, Kind, Octets, Received},
    strangers::StrangerListener,
    tls::{Authority, Identity, Roles, TlsError, Validity, check_request, provider, without_resumption},
};

/// All that a refused agent is told.
const REFUSED: &str = "refused";

/// The open tokens. Whoever keeps them decides how long each one is open.
pub trait Tokens {
    /// The key of a token that is open now.
    fn key(&self, token: TokenId) -> impl Future<Output = Option<TokenKey>> + Send;

    /// Spends a token, once: of several that ask at the same time one gets the grant. It is durable before this returns.
    fn consume(&self, token: TokenId) -> impl Future<Output = Option<Grant>> + Send;

    /// A request was refused. For counting: the same candidate may try again.
    fn refused(&self, _why: Refusal) {}
}

/// What a token entitles to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub node: NodeId,
    pub roles: Roles,
    pub validity: Validity,
}

/// A node that has joined: its certificate is signed and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub token: TokenId,
    pub grant: Grant,
    pub certificate: CertificateDer<'static>,
    pub address: SocketAddr,
}

/// Listens for agents that hold a token, on both carriers. Open it only while a token is.
#[derive(Debug)]
pub struct JoinListener(StrangerListener);

/// Somebody who wants to join and has proved nothing yet.
#[derive(Debug)]
pub struct Candidate(Stranger);

impl JoinListener {
    /// Opens the sockets, TCP where it got UDP. To be called inside a tokio runtime. `identity` is the master's own.
    pub fn open(address: SocketAddr, identity: &Identity) -> Result<JoinListener, JoinError> {
        Ok(JoinListener(StrangerListener::open(address, tls(identity)?, terms())?))
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_address()
    }

    /// The next one; answer each in a task of its own. `None` when closed. Cancel-safe.
    pub async fn accept(&mut self) -> Option<Result<Candidate, FailedHandshake>> {
        Some(self.0.accept().await?.map(Candidate))
    }

    /// Lets nobody in any more. Who was let in before can still be answered.
    pub fn pause(&mut self) {
        self.0.pause();
    }

    /// Listens again, as what the master is now.
    pub fn resume(&mut self, identity: &Identity) -> Result<(), JoinError> {
        Ok(self.0.resume(tls(identity)?)?)
    }

    /// Ends the listening and what is in progress, and gives the sockets back.
    pub async fn close(self) {
        self.0.close("no token is open").await;
    }
}

/// Asks for no client certificate, and presents the authority's too, for the agent to find by its fingerprint.
fn tls(identity: &Identity) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(TlsError::Config)?;
    let chain = vec![identity.certificate().clone(), identity.authority().clone()];
    let config = builder.with_no_client_auth().with_single_cert(chain, identity.private_key()).map_err(TlsError::Config)?;
    Ok(without_resumption(config, ALPN))
}

impl Candidate {
    /// Hears up to three requests and grants the first that is permitted.
    ///
    /// The limits are on the candidate's time and not on the ledger's: a token that is being spent is not forgotten.
    pub async fn answer(mut self, authority: &Authority, tokens: &impl Tokens) -> Result<Joined, JoinError> {
        let deadline = Instant::now() + EXCHANGE_MAX;
        let mut tries = 0;
        loop {
            let frame = self.request(deadline).await?;
            let refusal = match self.judge(&frame, authority, tokens).await {
                Ok((joined, answer)) => {
                    self.grant(&frame, &answer).await;
                    return Ok(joined);
                }
                Err(refusal) => refusal,
            };
            tokens.refused(refusal);
            tries += 1;
            if tries == TRIES_MAX {
                self.0.close(CloseCode::NotPermitted, REFUSED);
                return Err(JoinError::NotPermitted(refusal));
            }
            // Whoever reads nothing is not waited for.
            timeout_at(deadline, self.0.stream.tx.send(Kind::Refused, frame.request, REFUSED)).await.map_err(|_| JoinError::Time)??;
        }
    }

    async fn request(&mut self, deadline: Instant) -> Result<Frame, JoinError> {
        match timeout_at(deadline, self.0.stream.rx.receive()).await.map_err(|_| JoinError::Time)?? {
            Some(Received::Frame(frame)) if frame.kind == Kind::JoinRequest => Ok(frame),
            Some(Received::Frame(_) | Received::Unsupported(_)) => Err(JoinError::Unexpected),
            None => Err(JoinError::Left),
        }
    }

    /// Everything that can fail for the candidate's fault fails before the token is spent.
    async fn judge(&self, frame: &Frame, authority: &Authority, tokens: &impl Tokens) -> Result<(Joined, Answer), Refusal> {
        let body: Request = frame.body().map_err(|_| Refusal::Request)?;
        let token = TokenId(body.token.0.as_slice().try_into().map_err(|_| Refusal::Request)?);
        let request = CertificateSigningRequestDer::from(body.request.0);
        let session = &self.0.material;
        let key = tokens.key(token).await.ok_or(Refusal::UnknownToken)?;
        if !proof::fits(proof::agent(&key, session, token, &request), &body.proof.0) {
            return Err(Refusal::Proof);
        }
        check_request(&request).map_err(|_| Refusal::Request)?;
        let grant = tokens.consume(token).await.ok_or(Refusal::Consumed)?;
        let certificate = authority.sign(&request, grant.node, grant.roles, grant.validity).map_err(|_| Refusal::Sign)?;
        let proof = proof::master(&key, session, &request, &certificate, authority.certificate());
        let answer =
            Answer { certificate: Octets(certificate.to_vec()), authority: Octets(authority.certificate().to_vec()), proof: Octets(proof.as_bytes().to_vec()) };
        Ok((Joined { token, grant, certificate, address: self.0.remote_address() }, answer))
    }

    /// The node has joined whether or not it hears of it, so trouble on the way changes nothing here.
    async fn grant(mut self, frame: &Frame, answer: &Answer) {
        let deadline = Instant::now() + EXCHANGE_MAX;
        if let Ok(Ok(())) = timeout_at(deadline, self.0.stream.tx.send(Kind::JoinAnswer, frame.request, answer)).await {
            // The agent closes when it has read the answer; closing first could overtake it.
            let _ = timeout_at(deadline, self.0.closed()).await;
        }
    }
}
