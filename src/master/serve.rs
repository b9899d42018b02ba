//! A master that stays: nodes link with it, other processes ask it for analyses, and it ends when it is told to.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime},
};

use bitacora_core::{
    fleet::{Event, Notice, Project, Requester, Submission},
    ids::{Digest, JobId, ProjectId},
    paths::RelativePath,
    wire::FromAgent,
};
use crossbeam_channel::Sender;
use fleet_agent::{
    blobs::Blobs,
    net::{
        discovery::DiscoveryError,
        join::Grant,
        pairing::{self, PairError, Paired},
        quic::UdpBuffers,
        tls::{Authority, Role, Roles},
    },
    root::Root,
    work::with_cause,
};

use super::{
    INBOX_MAX, Input, Master, MasterError,
    joining::{TokenKeys, refused_connections},
    now,
    reports::Reports,
    resident::Resident,
};
use crate::{
    control::{self, Answer, Asked, ControlSocket, PairFailure, Request, Submitted, Wish},
    data::DataDirectory,
    links::{Deliver, LinkEvent, Links, Shelf, Stores},
    pairing::{Pairing, Wanted},
    preparation::{self, Known, PreparationError, Prepared},
    trust::{self, Passphrase, Trust},
};

/// Trees that are listed at the same time; whoever asks for more is told to ask again.
const LISTINGS_MAX: usize = 4;

/// What a serving master has besides.
pub(super) struct Serving {
    /// Where this machine can run work. Ended before the links, so that it does not complain of their end.
    pub(super) resident: Option<Resident>,
    pub(super) links: Links,
    pairing: Pairing,
    pub(super) authority: Arc<Authority>,
    pub(super) token_keys: TokenKeys,
    shelves: BTreeMap<Digest, Arc<Shelf>>,
    pub(super) listings: usize,
    pub(super) reports: Reports,
    /// What wakes nobody: it is handled when the loop wakes for something else.
    unhurried: mpsc::Receiver<LinkEvent>,
    /// Do the links know what the ledger says?
    is_published: bool,
}

impl Serving {
    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    pub(super) fn pairing(&self) -> &Pairing {
        &self.pairing
    }
}

/// Why a master that stayed has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    Stopped,
    /// There was nothing to stay for.
    AtRest,
}

/// A tree that was listed for somebody, on a thread of its own.
pub(super) struct Listed {
    wish: Wish,
    project: ProjectId,
    listed: Result<(Prepared, Shelf), NotListed>,
    asker: Asker,
}

/// Why a tree was not listed, in words.
struct NotListed {
    reason: String,
    /// It was, and what is wanted of it is not there.
    nothing: bool,
}

impl From<PreparationError> for NotListed {
    fn from(error: PreparationError) -> NotListed {
        NotListed { reason: with_cause(&error), nothing: matches!(error, PreparationError::NothingSelected) }
    }
}

/// On whose behalf a tree is listed.
enum Asker {
    /// Another process, which waits.
    Process { answer: Sender<Answer>, by: Requester },
    /// A job of an earlier master.
    Job(JobId),
}

impl Asker {
    fn answer(&self, answer: Answer) {
        if let Asker::Process { answer: sender, .. } = self {
            // Whoever asked may be gone.
            let _ = sender.send(answer);
        }
    }
}

impl Master {
    /// Listens for nodes; answers with the address. The passphrase opens the authority that is sealed with one, or seals a new one.
    pub fn open_links(&mut self, address: SocketAddr, passphrase: Option<&Passphrase>) -> Result<SocketAddr, MasterError> {
        let Trust { authority, identity, keys, is_new } = Trust::load_or_create(&self.data.safe()?, SystemTime::now(), passphrase)?;
        if is_new {
            self.request(Event::AuthorityMade { fingerprint: Digest(authority.fingerprint().0) })?;
        }
        let outbox = self.outbox.clone();
        let (later, unhurried) = mpsc::sync_channel(INBOX_MAX);
        let deliver: Deliver = Arc::new(move |event| match &event {
            LinkEvent::Received { message, .. } if message.body.is_unhurried() => later.try_send(event).is_ok(),
            _ => outbox.try_send(Input::Link(event)).is_ok(),
        });
        let stores = Stores { packs: Blobs::open_sparing(&self.data.packs())?, logs: self.logs.kept().clone(), takes_packs: self.fleet.keeps_results_here() };
        let links = Links::open(address, &identity, authority.clone(), &keys, stores, deliver.clone())?;
        let ledger = self.fleet.ledger();
        links.admit(ledger.nodes.keys().copied(), ledger.operators.keys().copied());
        let address = links.address();
        let pairing = Pairing::new(authority.clone(), address, deliver);
        self.serving = Some(Serving {
            links,
            pairing,
            authority,
            token_keys: TokenKeys::new(),
            resident: None,
            shelves: BTreeMap::new(),
            listings: 0,
            reports: Reports::new(),
            unhurried,
            is_published: false,
        });
        let outbox = self.outbox.clone();
        let control = ControlSocket::listen(&self.data.control(), move |asked| drop(outbox.send(Input::Asked(asked))));
        // A master that stays and cannot be asked is of no use.
        self._control = Some(control.map_err(MasterError::Socket)?);
        Ok(address)
    }

    /// The buffers of the socket on which nodes link, of a master that listens.
    pub fn udp_buffers(&self) -> Option<UdpBuffers> {
        Some(self.serving.as_ref()?.links.udp_buffers())
    }

    /// From now on nodes that announce themselves on the local network are known.
    pub fn watch_network(&mut self) -> Result<(), DiscoveryError> {
        self.serving.as_mut().map_or(Ok(()), |serving| serving.pairing.watch())
    }

    /// Handles what comes until `stop` answers true, or there was nothing to stay for in `rest_max`. `hear` is told what was
    /// published, but for the answers to requests.
    pub fn serve(&mut self, rest_max: Option<Duration>, stop: impl Fn() -> bool, hear: impl Fn(&Notice)) -> Result<Served, MasterError> {
        // A clock that stands while the machine sleeps: whoever wakes it finds its master.
        let mut busy_at = Instant::now();
        let served = loop {
            if stop() {
                break Served::Stopped;
            }
            if rest_max.is_some_and(|max| busy_at.elapsed() >= max) {
                break Served::AtRest;
            }
            let arrived = self.wait()?;
            // First: a heartbeat that is handled after the end of its link would make the node look linked.
            let unhurried: Vec<Input> = self.serving.iter().flat_map(|serving| serving.unhurried.try_iter().map(Input::Link)).collect();
            let (mut events, mut rooms, mut later) = (Vec::with_capacity(arrived.len() + 2), Vec::with_capacity(arrived.len()), Vec::new());
            for input in unhurried.into_iter().chain(arrived) {
                match input {
                    Input::Link(LinkEvent::Received { node, message, room }) => {
                        if matches!(message.body, FromAgent::Hello { .. })
                            && let Some(link) = self.serving.as_ref().and_then(|serving| serving.links.link_to(node))
                        {
                            events.push(Event::LinkSeen { node, address: link.remote_address(), called: link.was_dialled_here() });
                        }
                        if let FromAgent::Heartbeat { load, .. } = &message.body {
                            self.watching.note_load(now(), node, load.cpu_permille);
                        }
                        events.push(Event::Received { node, message });
                        rooms.push(room);
                    }
                    Input::Link(LinkEvent::Lost { node }) => events.push(Event::LinkLost { node }),
                    other => later.push(other),
                }
            }
            events.extend(self.serving.as_ref().and_then(|serving| refused_connections(serving.links.take_refused())));
            events.push(Event::Woken);
            self.turn(events)?.iter().for_each(&hear);
            // Only now is what they said no longer in memory.
            drop(rooms);
            if !later.is_empty() || !self.is_at_rest() {
                busy_at = Instant::now();
            }
            let has_requests = !later.is_empty();
            later.into_iter().try_for_each(|input| self.on_input(input))?;
            if has_requests {
                self.unpublish();
            }
            self.publish();
            self.tell_watchers();
            self.tend_resident();
            self.tend_reports();
            self.renew_own(SystemTime::now())?;
        };
        self.turn([Event::Stopping])?;
        Ok(served)
    }

    fn is_at_rest(&self) -> bool {
        self.fleet.is_at_rest() && !self.watching.is_watched() && self.serving.as_ref().is_none_or(|serving| serving.listings == 0)
    }

    pub(super) fn on_input(&mut self, input: Input) -> Result<(), MasterError> {
        match input {
            Input::Asked(Asked { request: Request::Analyse(wish), answer, by }) => {
                let project = self.project_for(by, &wish.root)?;
                self.begin_listing(wish, project, Asker::Process { answer, by });
                Ok(())
            }
            Input::Asked(Asked { request: Request::Pair { addresses, code, name }, answer, by }) => {
                let addresses = addresses.iter().filter_map(|address| address.parse().ok()).collect();
                let operator = if let Requester::Operator(operator) = by { Some(operator) } else { None };
                self.begin_pairing(Wanted { addresses, code, name, operator }, answer);
                Ok(())
            }
            Input::Asked(Asked { request: Request::Bring { packs }, answer, .. }) => {
                self.bring(packs, answer);
                Ok(())
            }
            Input::Asked(Asked { request: Request::Examine { node }, answer, .. }) => {
                self.examine(node, answer);
                Ok(())
            }
            Input::Asked(Asked { request: Request::Search(wanted), answer, .. }) => {
                self.search(wanted, answer);
                Ok(())
            }
            Input::Asked(asked) => self.answer(&asked),
            Input::Listed(listed) => self.on_listed(*listed),
            Input::Link(LinkEvent::PackWanted { pack, answer }) => {
                let _ = answer.send(self.fleet.holders_of(pack));
                Ok(())
            }
            Input::Link(LinkEvent::PackMissed { node, pack }) => self.turn([Event::PacksMissed { node, packs: vec![pack] }]).map(drop),
            Input::Link(LinkEvent::TokenNamed { token, answer }) => {
                // Whoever asked may have left.
                let _ = answer.send(self.token_key(token));
                Ok(())
            }
            Input::Link(LinkEvent::RenewalAsked { node, answer }) => {
                let _ = answer.send(self.permit_renewal(node)?);
                Ok(())
            }
            Input::Link(LinkEvent::TokenProved { token, answer }) => {
                let grant = self.spend_token(token)?;
                let _ = answer.send(grant);
                Ok(())
            }
            Input::Link(LinkEvent::Asked { operator, roles, request, answer }) => self.on_asked_from_afar(operator, roles, request, answer),
            Input::Link(LinkEvent::CodeProved { name, address, operator, answer }) => {
                // Only this user reaches the socket over which somebody else gave the code.
                let grant = self.admit(name, address, operator.map_or_else(control::this_user, Requester::Operator))?;
                let _ = answer.send(grant);
                Ok(())
            }
            Input::Agent(_) | Input::Link(_) => Ok(()),
            Input::AgentEnded => Err(MasterError::AgentEnded),
        }
    }

    /// A node is in the journal before it hears that it belongs to the fleet.
    fn admit(&mut self, name: String, address: SocketAddr, by: Requester) -> Result<Option<Grant>, MasterError> {
        let notices = self.turn_for(by, [Event::NodeJoined { name, address: Some(address) }])?;
        let paired = notices.iter().find_map(|notice| match notice {
            Notice::NodePaired(node) => Some(*node),
            _ => None,
        });
        self.publish();
        Ok(paired.map(|node| Grant { node, roles: Roles::from(Role::Worker), validity: trust::certificate_validity(SystemTime::now()) }))
    }

    fn begin_pairing(&self, wanted: Wanted, answer: Sender<Answer>) {
        let Some(serving) = &self.serving else { return };
        let asker = answer.clone();
        // Whoever asked may be gone.
        let done = move |paired| drop(asker.send(outcome_of_pairing(paired)));
        if !serving.pairing.begin(serving.links.runtime(), wanted, done) {
            let _ = answer.send(Answer::Busy);
        }
    }

    /// What an earlier master began is listed again, as it was asked for.
    pub(super) fn list_again(&mut self, job: JobId) -> Result<(), MasterError> {
        let spec = self.fleet.ledger().jobs[&job].spec.clone();
        let project = spec.project.expect("only what is about a tree has one to list");
        let wish = preparation::wish(spec, self.fleet.ledger().projects[&project].root.clone());
        self.begin_listing(wish, project, Asker::Job(job));
        Ok(())
    }

    /// Lists the tree and hashes what is to be done, beside the loop.
    fn begin_listing(&mut self, wish: Wish, project: ProjectId, asker: Asker) {
        let history = self.fleet.ledger().projects[&project].clone();
        let Some(serving) = &mut self.serving else { return };
        let is_person = matches!(asker, Asker::Process { .. });
        if is_person && serving.listings >= LISTINGS_MAX {
            return asker.answer(Answer::Refused("too many trees are being listed; ask again".into()));
        }
        serving.listings += 1;
        let (data, outbox) = (self.data.clone(), self.outbox.clone());
        let known = Known::of(self.fleet.ledger(), project);
        std::thread::spawn(move || {
            let listed = list(&data, &wish, &history, &known).map_err(NotListed::from);
            // A master that is gone needs no listing.
            let _ = outbox.send(Input::Listed(Box::new(Listed { wish, project, listed, asker })));
        });
    }

    fn on_listed(&mut self, Listed { wish, project, listed, asker }: Listed) -> Result<(), MasterError> {
        let serving = self.serving.as_mut().expect("only a serving master lists beside its loop");
        serving.listings -= 1;
        if let Asker::Job(job) = &asker
            && !self.fleet.waits_for_listing(*job)
        {
            // Cancelled, paused or submitted again meanwhile.
            return Ok(());
        }
        let serving = self.serving.as_mut().expect("only a serving master lists beside its loop");
        let (Prepared { scan, files }, shelf) = match listed {
            Ok(listed) => listed,
            Err(NotListed { reason: error, nothing }) => {
                if let Asker::Job(job) = asker {
                    return self.turn([Event::TreeNotListed { job, error }]).map(drop);
                }
                asker.answer(if nothing { Answer::Unknown(error) } else { Answer::Refused(error) });
                return Ok(());
            }
        };
        let (bytes, unchanged) = (files.iter().map(|file| file.size).sum(), scan.unchanged);
        // On its shelf before its job: the first spark may be asked for at once.
        serving.shelves.insert(scan.listing, Arc::new(shelf));
        serving.links.shelve(serving.shelves.values().cloned().collect());
        let spec = preparation::spec(wish, project, &scan);
        let by = match asker {
            Asker::Process { by, .. } => by,
            Asker::Job(job) => self.fleet.ledger().jobs.get(&job).map_or(Requester::Fleet, |job| job.spec.by),
        };
        let notices = self.submit(by, Submission { spec, files }, Arc::new(scan))?;
        let job = notices.iter().find_map(|notice| match notice {
            Notice::JobAccepted(job) | Notice::JobResumed { job, .. } => Some(*job),
            _ => None,
        });
        let submitted = job.map(|job| Answer::Submitted(Submitted { job, project, bytes, unchanged }));
        asker.answer(submitted.unwrap_or_else(|| control::outcome(&notices)));
        Ok(())
    }

    /// Something changed that [`Master::publish`] tells of.
    pub(super) fn unpublish(&mut self) {
        if let Some(serving) = &mut self.serving {
            serving.is_published = false;
        }
    }

    /// Tells the links who belongs to the fleet, whether somebody may join, and which contents may be asked for, if that is not what
    /// they were told. What jobs that are over needed goes.
    pub(super) fn publish(&mut self) {
        let Some(serving) = self.serving.as_mut().filter(|serving| !serving.is_published) else { return };
        serving.is_published = true;
        let ledger = self.fleet.ledger();
        serving.links.admit(ledger.nodes.keys().copied(), ledger.operators.keys().copied());
        serving.token_keys.retain(|token, _| self.fleet.is_token_open(now(), *token));
        if !self.fleet.may_join() {
            serving.links.close_joining();
        }
        let needed = |listing: &Digest| self.fleet.ledger().jobs.values().any(|job| !job.status.is_over() && job.spec.listing == *listing);
        self.scans.retain(|(listing, _), _| needed(listing));
        let before = serving.shelves.len();
        serving.shelves.retain(|listing, _| needed(listing));
        if serving.shelves.len() != before {
            serving.links.shelve(serving.shelves.values().cloned().collect());
        }
    }

    /// The project of a folder; a new one is named after the folder.
    pub fn project_at(&mut self, root: &[u8]) -> Result<ProjectId, MasterError> {
        self.project_for(Requester::Fleet, root)
    }

    /// The same, as somebody has asked for it.
    pub(super) fn project_for(&mut self, by: Requester, root: &[u8]) -> Result<ProjectId, MasterError> {
        let known = self.fleet.ledger().projects.iter().find(|(_, project)| project.root == root).map(|(id, _)| *id);
        if let Some(project) = known {
            return Ok(project);
        }
        let path = path_of(root);
        let name = path.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned());
        let notices = self.turn_for(by, [Event::ProjectAdded { name, root: root.to_vec() }])?;
        let added = notices.iter().find_map(|notice| match notice {
            Notice::ProjectAdded(project) => Some(*project),
            _ => None,
        });
        Ok(added.expect("adding a project is never refused"))
    }
}

fn outcome_of_pairing(paired: Result<Paired, PairError>) -> Answer {
    let error = match paired {
        Ok(paired) => return Answer::Paired { node: paired.node },
        Err(error) => error,
    };
    let failure = match &error {
        PairError::Unreachable(_) | PairError::Left | PairError::Carrier(_) => PairFailure::Unreachable,
        PairError::Refused(pairing::Refusal::Wrong { .. } | pairing::Refusal::Over) | PairError::Stranger => PairFailure::Code,
        PairError::Time => PairFailure::Time,
        PairError::Unconfirmed { .. } => PairFailure::Unconfirmed,
        PairError::Refused(_) | PairError::NotAdmitted | PairError::Tls(_) | PairError::Unexpected => PairFailure::Refused,
    };
    Answer::NotPaired { failure, reason: with_cause(&error) }
}

fn path_of(root: &[u8]) -> PathBuf {
    PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(root))
}

fn list(data: &DataDirectory, wish: &Wish, project: &Project, known: &Known) -> Result<(Prepared, Shelf), PreparationError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let prepared = preparation::prepare(data, wish, project, Some(known), threads, now())?;
    let mut paths: HashMap<Digest, Vec<RelativePath>> = HashMap::new();
    let named = prepared.files.iter().filter_map(|file| Some((file.content?, &file.path)));
    named.for_each(|(name, path)| paths.entry(name).or_default().push(path.clone()));
    let folder = Root::open(preparation::folder(wish)).map_err(PreparationError::Folder)?;
    Ok((prepared, Shelf::new(folder, paths)))
}
