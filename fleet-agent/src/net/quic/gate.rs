//! Lets in those who dial, a bounded number at a time.
//!
//! Each handshake is a task of its own, so that a slow one does not keep others waiting; the gate owns those tasks and
//! ends them when it is dropped.

use std::time::Duration;

use quinn::{Connecting, Incoming};
use tokio::{task::JoinSet, time::timeout};

use super::Settings;
use crate::net::carrier::{CarrierError, FailedHandshake};

#[derive(Debug)]
pub(crate) struct Gate<Admitted> {
    endpoint: quinn::Endpoint,
    handshakes: JoinSet<Result<Admitted, FailedHandshake>>,
    handshakes_max: usize,
    validated_from: usize,
    handshake_max: Duration,
}

#[expect(clippy::large_enum_variant, reason = "lives for a moment on the stack, one at a time")]
enum Event<Admitted> {
    Arrived(Option<Incoming>),
    Done(Result<Admitted, FailedHandshake>),
}

impl<Admitted: Send + 'static> Gate<Admitted> {
    pub(crate) fn new(endpoint: quinn::Endpoint, settings: &Settings) -> Gate<Admitted> {
        let &Settings { handshakes_max, validated_from, handshake_max, .. } = settings;
        Gate { endpoint, handshakes: JoinSet::new(), handshakes_max, validated_from, handshake_max }
    }

    /// The next one whose handshake ended, well or not. `None` when the endpoint was closed. Cancel-safe.
    pub(crate) async fn next<Handshake>(&mut self, handshake: impl Fn(Connecting) -> Handshake) -> Option<Result<Admitted, FailedHandshake>>
    where
        Handshake: Future<Output = Result<Admitted, CarrierError>> + Send + 'static,
    {
        loop {
            let event = tokio::select! {
                Some(done) = self.handshakes.join_next() => Event::Done(done.expect("a handshake neither panics nor is ended while the gate lives")),
                incoming = self.endpoint.accept() => Event::Arrived(incoming),
            };
            match event {
                Event::Arrived(Some(incoming)) => self.admit(incoming, &handshake),
                Event::Arrived(None) => return None,
                Event::Done(done) => return Some(done),
            }
        }
    }

    fn admit<Handshake>(&mut self, incoming: Incoming, handshake: &impl Fn(Connecting) -> Handshake)
    where
        Handshake: Future<Output = Result<Admitted, CarrierError>> + Send + 'static,
    {
        let in_progress = self.handshakes.len();
        if in_progress >= self.handshakes_max {
            return incoming.refuse();
        }
        if in_progress >= self.validated_from && !incoming.remote_address_validated() {
            // Fails only for an address that was validated; dropping the error refuses the attempt.
            let _ = incoming.retry();
            return;
        }
        let (address, limit) = (incoming.remote_address(), self.handshake_max);
        let attempt = incoming.accept().map(handshake);
        self.handshakes.spawn(async move {
            let done = match attempt {
                Ok(handshake) => timeout(limit, handshake).await.unwrap_or(Err(CarrierError::HandshakeTime)),
                Err(error) => Err(CarrierError::Lost(error)),
            };
            done.map_err(|error| FailedHandshake { address, error })
        });
    }
}
