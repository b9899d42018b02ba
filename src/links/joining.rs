//! The port for joining: open while a token is, and closed, as a port that nobody listens on, at all other times.
//!
//! The loop says when; it keeps the tokens, and is asked about each one.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bitacora_core::ids::TokenId;
use fleet_agent::net::{
    carrier::CarrierError,
    join::{Candidate, Grant, JoinError, JoinListener, Refusal, TokenKey, Tokens},
    tls::{Authority, Identity},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};

use super::{Counters, Deliver, LinkEvent};

/// Who wants to join and has not proved anything yet; more are sent away.
const CANDIDATES_MAX: usize = 32;
/// Wishes of the loop, which waits for each answer.
const WISHES_MAX: usize = 4;
/// A socket that was just closed may take a moment until it is free.
const BIND_TRIES: u32 = 20;
const BIND_AGAIN: Duration = Duration::from_millis(50);

enum Wish {
    Open { identity: Box<Identity>, opened: oneshot::Sender<Result<(), JoinError>> },
    Close,
}

/// The port, kept by a task of its own.
pub(super) struct JoinPort {
    wishes: mpsc::Sender<Wish>,
    is_open: bool,
}

impl JoinPort {
    /// Closed at first. To be called inside a tokio runtime.
    pub(super) fn new(address: SocketAddr, authority: Arc<Authority>, refused: Arc<Counters>, deliver: Deliver) -> JoinPort {
        let (wishes, inbox) = mpsc::channel(WISHES_MAX);
        tokio::spawn(Keeper { address, authority, tokens: AskLoop { deliver, refused }, listener: None, wanted: false, candidates: JoinSet::new() }.run(inbox));
        JoinPort { wishes, is_open: false }
    }

    /// Once this has answered, whoever dials is heard.
    pub(super) fn open(&mut self, identity: &Identity) -> Result<(), JoinError> {
        let (opened, answer) = oneshot::channel();
        let sent = self.wishes.blocking_send(Wish::Open { identity: Box::new(identity.clone()), opened });
        sent.map_err(|_| JoinError::Left).and_then(|()| answer.blocking_recv().map_err(|_| JoinError::Left)?)?;
        self.is_open = true;
        Ok(())
    }

    pub(super) fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            // The task ends with the network's threads, and the port with it.
            let _ = self.wishes.blocking_send(Wish::Close);
        }
    }
}

struct Keeper {
    address: SocketAddr,
    authority: Arc<Authority>,
    tokens: AskLoop,
    listener: Option<JoinListener>,
    wanted: bool,
    candidates: JoinSet<()>,
}

impl Keeper {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        loop {
            // Whoever has spent the last token still waits for its certificate.
            if !self.wanted
                && self.candidates.is_empty()
                && let Some(listener) = self.listener.take()
            {
                listener.close().await;
            }
            tokio::select! {
                wish = wishes.recv() => match wish {
                    None => return,
                    Some(Wish::Open { identity, opened }) => {
                        // Whoever asked waits for the answer.
                        let _ = opened.send(self.open(&identity).await);
                    }
                    Some(Wish::Close) => {
                        self.wanted = false;
                        self.listener.iter_mut().for_each(JoinListener::pause);
                    }
                },
                Some(candidate) = accept(self.listener.as_mut()) => match candidate {
                    Some(candidate) if self.wanted => self.hear(candidate),
                    Some(_) => {}
                    None => self.tokens.refused.one(|refused| &refused.handshake),
                },
                Some(_) = self.candidates.join_next() => {}
            }
        }
    }

    async fn open(&mut self, identity: &Identity) -> Result<(), JoinError> {
        match &mut self.listener {
            Some(listener) => listener.resume(identity)?,
            None => self.listener = Some(bind(self.address, identity).await?),
        }
        self.wanted = true;
        Ok(())
    }

    fn hear(&mut self, candidate: Candidate) {
        // Dropped, it is disconnected.
        if self.candidates.len() < CANDIDATES_MAX {
            let (authority, tokens) = (self.authority.clone(), self.tokens.clone());
            // What became of it the loop knows by the token.
            self.candidates.spawn(async move { drop(candidate.answer(&authority, &tokens).await) });
        }
    }
}

async fn bind(address: SocketAddr, identity: &Identity) -> Result<JoinListener, JoinError> {
    for _ in 1..BIND_TRIES {
        match JoinListener::open(address, identity) {
            Err(JoinError::Carrier(CarrierError::Bind { source, .. } | CarrierError::Listen { source, .. })) if source.kind() == io::ErrorKind::AddrInUse => {
                sleep(BIND_AGAIN).await;
            }
            opened => return opened,
        }
    }
    JoinListener::open(address, identity)
}

/// The next one, or none whose handshake failed; pending while the port is closed. Cancel-safe.
async fn accept(listener: Option<&mut JoinListener>) -> Option<Option<Candidate>> {
    match listener {
        None => std::future::pending().await,
        Some(listener) => Some(listener.accept().await?.ok()),
    }
}

#[derive(Clone)]
struct AskLoop {
    deliver: Deliver,
    refused: Arc<Counters>,
}

impl Tokens for AskLoop {
    async fn key(&self, token: TokenId) -> Option<TokenKey> {
        let (answer, answered) = oneshot::channel();
        (self.deliver)(LinkEvent::TokenNamed { token, answer });
        answered.await.ok().flatten()
    }

    async fn consume(&self, token: TokenId) -> Option<Grant> {
        let (answer, answered) = oneshot::channel();
        (self.deliver)(LinkEvent::TokenProved { token, answer });
        answered.await.ok().flatten()
    }

    fn refused(&self, why: Refusal) {
        self.refused.one(|refused| match why {
            Refusal::UnknownToken | Refusal::Consumed => &refused.unknown_token,
            Refusal::Proof => &refused.wrong_proof,
            Refusal::Request | Refusal::Sign => &refused.unsound,
        });
    }
}
