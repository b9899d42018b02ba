//! The agent's side: a listener that shows a code and can do nothing but be paired by it.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    EXCHANGE_MAX, MASTERS_MAX, Message, PairError, PairingCode, Refusal,
    door::{Door, Rules, Verdict},
    proof::{self, Keys, Side},
    receive, send, stranger, terms,
};
use crate::net::{
    carrier::{FailedHandshake, Stranger},
    codec::Octets,
    strangers::StrangerListener,
    tls::{Identity, NodeKey},
};

/// Who is being heard at the same time; more are sent away.
const CANDIDATES_MAX: usize = 16;

/// Waits for a master that knows the code.
pub struct PairListener {
    listener: StrangerListener,
    name: String,
    key: NodeKey,
    request: CertificateSigningRequestDer<'static>,
    begun: Instant,
    door: Door,
    code: PairingCode,
    steps: JoinSet<Step>,
    /// Somebody has proved the code and is being answered; no code is open meanwhile.
    being_paired: bool,
}

/// What happens while a node waits, for its log.
#[derive(Debug)]
pub enum Trouble {
    /// Somebody tried a wrong code.
    WrongCode { from: SocketAddr, tries_left: u32 },
    /// Somebody knew the code, and it came to nothing all the same.
    Failed(PairError),
}

/// The node is one of the fleet, once it has said so with [`Admission::keep`].
pub struct Admission {
    pub identity: Identity,
    /// Where the master says that it listens.
    pub told: Vec<SocketAddr>,
    /// Where it dialled from.
    pub from: SocketAddr,
    candidate: Candidate,
    listener: StrangerListener,
}

/// A master, or somebody who wants to be taken for one.
struct Candidate(Stranger);

/// A candidate that has shown whether it knows the code.
struct Claim {
    candidate: Candidate,
    keys: Keys,
    code_number: u64,
    right: bool,
}

/// What the master gave.
struct Given {
    candidate: Candidate,
    certificate: CertificateDer<'static>,
    authority: CertificateDer<'static>,
    told: Vec<SocketAddr>,
}

enum Step {
    Claimed(Box<Claim>),
    Given(Box<Result<Given, PairError>>),
    /// Nothing came of it, and nothing is to be done.
    Left,
}

#[expect(clippy::large_enum_variant, reason = "lives for a moment on the stack, one at a time")]
enum Event {
    Arrived(Option<Result<Stranger, FailedHandshake>>),
    Stepped(Step),
    Expired,
}

impl PairListener {
    /// Opens the sockets, TCP where it got UDP. To be called inside a tokio runtime.
    pub fn open(address: SocketAddr, name: String, key: NodeKey, rules: Rules) -> Result<PairListener, PairError> {
        Ok(PairListener {
            listener: StrangerListener::open(address, stranger::server(&key)?, terms())?,
            name,
            request: key.request()?,
            key,
            begun: Instant::now(),
            door: Door::new(Duration::ZERO, rules),
            code: PairingCode::fresh()?,
            steps: JoinSet::new(),
            being_paired: false,
        })
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_address()
    }

    /// Until a master has paired this node. `show` is given each code as it becomes good, `log` what else happened.
    pub async fn paired(mut self, mut show: impl FnMut(&PairingCode), mut log: impl FnMut(Trouble)) -> Result<Admission, PairError> {
        show(&self.code);
        loop {
            let left = self.door.until().saturating_sub(self.begun.elapsed());
            let event = tokio::select! {
                stranger = self.listener.accept() => Event::Arrived(stranger),
                Some(step) = self.steps.join_next() => Event::Stepped(step.expect("a step neither panics nor is ended while we wait")),
                () = sleep(left), if !self.being_paired => Event::Expired,
            };
            match event {
                Event::Arrived(None) => return Err(PairError::Left),
                Event::Arrived(Some(stranger)) => self.hear(stranger),
                Event::Stepped(Step::Claimed(claim)) => self.judge(*claim, &mut log),
                Event::Stepped(Step::Given(given)) => {
                    self.being_paired = false;
                    match given.and_then(|given| self.identified(given)) {
                        Ok((identity, given)) => return Ok(self.admission(identity, given)),
                        Err(error) => log(Trouble::Failed(error)),
                    }
                }
                Event::Expired | Event::Stepped(Step::Left) => {}
            }
            if !self.being_paired && self.door.is_over(self.begun.elapsed()) {
                self.door.renew(self.begun.elapsed());
                self.code = PairingCode::fresh()?;
                show(&self.code);
            }
        }
    }

    fn hear(&mut self, stranger: Result<Stranger, FailedHandshake>) {
        // Whoever could not shake hands is nobody; dropped, it is disconnected.
        let Ok(candidate) = stranger.map(Candidate) else { return };
        if self.steps.len() >= CANDIDATES_MAX {
            return;
        }
        let (code, number) = (self.code.clone(), self.door.number());
        self.steps.spawn(async move {
            let claim = timeout(EXCHANGE_MAX, claim(candidate, &code, number)).await;
            claim.ok().and_then(Result::ok).map_or(Step::Left, |claim| Step::Claimed(Box::new(claim)))
        });
    }

    fn judge(&mut self, claim: Claim, log: &mut impl FnMut(Trouble)) {
        let verdict = self.door.judge(self.begun.elapsed(), claim.code_number, claim.right);
        let refusal = match verdict {
            Verdict::Right => {
                self.being_paired = true;
                let (name, request) = (self.name.clone(), self.request.clone());
                self.steps.spawn(async move {
                    let given = timeout(EXCHANGE_MAX, ask(claim, name, request)).await;
                    Step::Given(Box::new(given.unwrap_or(Err(PairError::Time))))
                });
                return;
            }
            Verdict::Wrong { tries_left } => {
                log(Trouble::WrongCode { from: claim.candidate.0.remote_address(), tries_left });
                Refusal::Wrong { tries_left }
            }
            Verdict::NotNow { wait } => Refusal::NotNow { seconds: wait.as_secs() as u32 + 1 },
            Verdict::Over if self.being_paired => Refusal::Taken,
            Verdict::Over => Refusal::Over,
        };
        self.steps.spawn(async move {
            refuse(claim.candidate, refusal).await;
            Step::Left
        });
    }

    fn identified(&self, given: Given) -> Result<(Identity, Given), PairError> {
        let identity = Identity::of(&self.key, given.certificate.clone(), given.authority.clone())?;
        Ok((identity, given))
    }

    fn admission(self, identity: Identity, given: Given) -> Admission {
        let from = given.candidate.0.remote_address();
        Admission { identity, told: given.told, from, candidate: given.candidate, listener: self.listener }
    }
}

impl Admission {
    /// Tells the master that the identity is kept, and everybody else that there is nothing to be had here any more.
    pub async fn keep(mut self) {
        // Lost on its way, the master says so to its person; the node is one of the fleet all the same.
        if send(&mut self.candidate.0.stream, &Message::Kept).await.is_ok() {
            let _ = timeout(EXCHANGE_MAX, self.candidate.0.closed()).await;
        }
        self.listener.close("paired").await;
    }
}

async fn claim(mut candidate: Candidate, code: &PairingCode, code_number: u64) -> Result<Claim, PairError> {
    let Message::Begin { point } = receive(&mut candidate.0.stream).await? else { return Err(PairError::Unexpected) };
    let (half, own) = proof::begin(Side::Agent, code, &candidate.0.material);
    let keys = half.finish(&point.0).ok_or(PairError::Unexpected)?;
    send(&mut candidate.0.stream, &Message::Point { point: Octets(own) }).await?;
    // Who leaves now has learned nothing, and so nothing is counted.
    let Message::Confirm { proof } = receive(&mut candidate.0.stream).await? else { return Err(PairError::Unexpected) };
    let right = proof::fits(keys.knows(), &proof.0);
    Ok(Claim { candidate, keys, code_number, right })
}

async fn refuse(mut candidate: Candidate, refusal: Refusal) {
    if send(&mut candidate.0.stream, &Message::Refused(refusal)).await.is_ok() {
        // The master closes when it has read this; closing first could overtake it.
        let _ = timeout(EXCHANGE_MAX, candidate.0.closed()).await;
    }
}

async fn ask(claim: Claim, name: String, request: CertificateSigningRequestDer<'static>) -> Result<Given, PairError> {
    let Claim { mut candidate, keys, .. } = claim;
    let proof = Octets(keys.asks(&name, &request).as_bytes().to_vec());
    send(&mut candidate.0.stream, &Message::Ask { name, request: Octets(request.to_vec()), proof }).await?;
    let Message::Give { certificate, authority, addresses, proof } = receive(&mut candidate.0.stream).await? else { return Err(PairError::Unexpected) };
    let (certificate, authority) = (certificate.0.into(), authority.0.into());
    if !proof::fits(keys.gives(&request, &certificate, &authority, &addresses), &proof.0) {
        return Err(PairError::Stranger);
    }
    let told = addresses.iter().take(MASTERS_MAX).filter_map(|address| address.parse().ok()).collect();
    Ok(Given { candidate, certificate, authority, told })
}
