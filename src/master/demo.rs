//! A master of a fleet that is made up: it answers what a master answers, from the core's simulation driven at the pace of the clock on the wall.
//!
//! No journal, no links, no data directory: nothing that happens here is kept, and whatever would need more than the core is refused.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use bitacora_core::{
    fleet::{AuditRecord, Event, Notice, OwnRole, Requester, SparkState},
    ids::SparkId,
    sim::demo::{Demo, Told},
    time::Time,
    wire::message::Output,
};

use super::{INBOX_MAX, now, view::View, watching::Watching};
use crate::{
    control::{self, AUDIT_LINKS_MAX, Answer, Asked, ControlSocket, LOG_BYTES_MAX, Request},
    journal::audit::Link,
    timeline::Timeline,
};

/// Logs of commands that are remembered, the latest, and bytes of each.
const LOGS_MAX: usize = 200;
const LOG_KEPT_BYTES_MAX: usize = 256 << 10;
/// Records of the audit that are remembered: a day of somebody who does nothing else.
const RECORDS_MAX: usize = 16_384;
const NO_NETWORK: &str = "a demo has no network";
const NO_FILES: &str = "a demo has no trees, and no results on a disk";

/// Runs until it is dropped.
pub struct DemoMaster {
    stop: mpsc::SyncSender<Input>,
    thread: Option<JoinHandle<()>>,
}

enum Input {
    Asked(Asked),
    Stop,
}

impl DemoMaster {
    /// Answers on a socket at this path, once so many nodes are made up.
    pub fn start(control: &Path, seed: u64, nodes: u32) -> io::Result<DemoMaster> {
        let (tx, inbox) = mpsc::sync_channel(INBOX_MAX);
        let outbox = tx.clone();
        let socket = ControlSocket::listen(control, move |asked| drop(outbox.send(Input::Asked(asked))))?.without_last_words();
        let play = move || Stage::new(seed, nodes, socket).play(&inbox);
        let thread = thread::Builder::new().name("demo".into()).spawn(play)?;
        Ok(DemoMaster { stop: tx, thread: Some(thread) })
    }
}

impl Drop for DemoMaster {
    fn drop(&mut self) {
        // One that has panicked has said so.
        let _ = self.stop.send(Input::Stop);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Stage {
    demo: Demo,
    timeline: Timeline,
    watching: Watching,
    records: Vec<Link>,
    logs: BTreeMap<SparkId, Vec<u8>>,
    _socket: ControlSocket,
}

impl Stage {
    fn new(seed: u64, nodes: u32, socket: ControlSocket) -> Stage {
        let at = now();
        let demo = Demo::new(seed, nodes, Time(at.0.saturating_sub(Demo::youth(nodes).0)));
        let mut stage =
            Stage { demo, timeline: Timeline::default(), watching: Watching::default(), records: Vec::new(), logs: BTreeMap::new(), _socket: socket };
        stage.advance(at);
        stage
    }

    /// Step by step, so that what is told of a moment is told as it was then.
    fn advance(&mut self, until: Time) {
        while self.demo.next_step() <= until {
            self.demo.advance(self.demo.next_step());
            self.keep();
        }
    }

    fn play(mut self, inbox: &Receiver<Input>) {
        loop {
            let patience = Duration::from_micros((self.demo.next_step() - now()).0);
            match inbox.recv_timeout(patience) {
                Ok(Input::Asked(asked)) => self.on_asked(asked),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.advance(now());
            self.keep();
            if self.watching.is_watched() {
                let mut watching = std::mem::take(&mut self.watching);
                watching.tell(&self.view());
                self.watching = watching;
            }
        }
    }

    fn view(&self) -> View<'_> {
        View { fleet: self.demo.fleet(), timeline: &self.timeline, at: self.demo.now(), links: None, pairing: Err(NO_NETWORK) }
    }

    fn on_asked(&mut self, Asked { by, request, answer }: Asked) {
        if let Request::Watch(watch) = request {
            return self.watching.add(watch, answer, self.timeline.last());
        }
        // Whoever asked may be gone.
        let _ = answer.send(self.answer(by, &request));
    }

    fn answer(&mut self, by: Requester, request: &Request) -> Answer {
        if let Some(answer) = self.view().answer(request) {
            return answer;
        }
        match request {
            Request::Log { spark, from } => self.log_part(*spark, *from),
            Request::Audit { after } => {
                let later = self.records.iter().filter(|link| link.number > *after).take(AUDIT_LINKS_MAX);
                Answer::Audit(later.map(|link| (link.number, link.body.clone(), link.hash)).collect())
            }
            Request::Role { name, role } => self.choose_role(by, name, *role),
            Request::Token { .. } | Request::Pair { .. } => Answer::Refused(NO_NETWORK.into()),
            Request::Analyse(_) | Request::AddProject { .. } | Request::Warm(_) | Request::Bring { .. } | Request::Search(_) => {
                Answer::Refused(NO_FILES.into())
            }
            Request::Report(_) => Answer::Unknown(NO_FILES.into()),
            request => match request.event() {
                Some(event) => request.answered(&self.demo.ask(by, event)),
                None => Answer::Refused("not available in a demo".into()),
            },
        }
    }

    /// The first machine is the master's own.
    fn choose_role(&mut self, by: Requester, wanted: &str, role: OwnRole) -> Answer {
        let ledger = self.demo.fleet().ledger();
        let own = ledger.resident.and_then(|id| Some((id, ledger.nodes.get(&id)?.name.clone())));
        match own {
            Some((id, name)) if wanted.is_empty() || name == wanted || id.to_string() == wanted => {
                control::outcome(&self.demo.ask(by, Event::RoleChosen { role, name }))
            }
            Some((_, name)) => Answer::Refused(format!("only the machine of the master changes its role, and that is {name}")),
            None => Answer::Refused("the master's own machine was removed".into()),
        }
    }

    fn log_part(&self, spark: SparkId, from: u64) -> Answer {
        let Some(known) = self.demo.fleet().ledger().spark(spark) else { return Answer::Unknown(format!("there is no spark {spark}")) };
        let is_over = known.state.is_over();
        match self.logs.get(&spark) {
            None if matches!(known.state, SparkState::Completed | SparkState::Failed(_)) => Answer::Refused("the output is not here any more".into()),
            log => {
                let bytes = log.into_iter().flatten().skip(from as usize).take(LOG_BYTES_MAX).copied().collect();
                Answer::Log { bytes, is_over }
            }
        }
    }

    /// What a real master would write down.
    fn keep(&mut self) {
        for told in self.demo.take_told() {
            self.watching.stir();
            match told {
                Told::Recorded(fact) => self.timeline.add_fact(self.demo.now(), &fact, self.demo.fleet().ledger()),
                Told::Audited(record) => self.keep_record(&record),
                Told::Written(output) => self.keep_output(&output),
                Told::Noticed(Notice::NodeChanged(node)) => {
                    if let Some(words) = self.view().node_in_words(node) {
                        self.timeline.add(self.demo.now(), "node-changed", node.to_string(), words);
                    }
                }
                Told::Noticed(_) => {}
            }
        }
    }

    fn keep_record(&mut self, record: &AuditRecord) {
        if self.records.len() < RECORDS_MAX {
            let head = self.records.last().map(Link::head);
            self.records.push(Link::after(head, record));
        }
    }

    fn keep_output(&mut self, output: &Output) {
        let log = self.logs.entry(output.spark).or_default();
        // Another attempt begins anew.
        log.truncate(output.offset as usize);
        if log.len() + output.bytes.len() <= LOG_KEPT_BYTES_MAX {
            log.extend(&output.bytes);
        }
        while self.logs.len() > LOGS_MAX {
            self.logs.pop_first();
        }
    }
}
