//! What people's devices ask of this master from elsewhere, and what only they need to ask, having no disk of the master's.

use std::{
    ffi::OsStr,
    io::{Read, Seek, SeekFrom},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use bitacora_core::{
    fleet::{About, Deed, Event, Requester, Right, SparkState},
    ids::{NodeId, SparkId},
};
use crossbeam_channel::Sender;
use fleet_agent::{
    net::tls::{Role, Roles},
    work::with_cause,
};

use super::{Input, Master, MasterError};
use crate::{
    control::{self, AUDIT_LINKS_MAX, Answer, Asked, LOG_BYTES_MAX, Request},
    journal::audit,
};

/// Of all its roles the one that permits most.
fn certified(roles: Roles) -> Option<Right> {
    [(Role::OperatorAdmin, Right::Admin), (Role::OperatorOperate, Right::Operate), (Role::OperatorView, Right::View)]
        .into_iter()
        .find_map(|(role, right)| roles.contains(role).then_some(right))
}

/// What a device's certificate permits.
pub(super) fn role_of(right: Right) -> Role {
    match right {
        Right::View => Role::OperatorView,
        Right::Operate => Role::OperatorOperate,
        Right::Admin => Role::OperatorAdmin,
    }
}

impl Master {
    /// Only what the device may is done; the core says what that is.
    pub(super) fn on_asked_from_afar(&mut self, operator: NodeId, roles: Roles, request: Request, answer: Sender<Answer>) -> Result<(), MasterError> {
        // First what is meant, then whether it may be.
        let mut request = request.pinned(self.ledger());
        if let Request::Analyse(wish) = &mut request {
            match folder_here(&wish.root) {
                Ok(root) => wish.root = root,
                Err(reason) => {
                    // Whoever asked may be gone.
                    let _ = answer.send(Answer::Refused(reason));
                    return Ok(());
                }
            }
        }
        let deed = match &request {
            Request::Analyse(wish) if !self.ledger().projects.values().any(|project| project.root == wish.root) => Deed::AddProject,
            request => request.deed(),
        };
        let by = Requester::Operator(operator);
        let refused = match certified(roles) {
            None => Answer::Refused("its certificate is no operator's".into()),
            Some(certified) => {
                let about = request.about(self.ledger());
                control::outcome(&self.turn_for(by, [Event::DeedAsked { operator, certified, deed, about }])?)
            }
        };
        if refused != Answer::Done {
            // Whoever asked may be gone.
            let _ = answer.send(refused);
            return Ok(());
        }
        if let Request::Watch(watch) = &mut request {
            watch.focus.job = watch.focus.job.filter(|job| self.fleet.may_concern(operator, About::Job(*job)));
        }
        self.on_input(Input::Asked(Asked { by, request, answer }))
    }

    /// A folder of this machine, which whoever asks may not be at.
    pub fn add_project(&mut self, by: Requester, root: &[u8]) -> Result<Answer, MasterError> {
        let root = match folder_here(root) {
            Ok(root) => root,
            Err(reason) => return Ok(Answer::Refused(reason)),
        };
        let known = self.ledger().projects.values().any(|project| project.root == root);
        let project = self.project_for(by, &root)?;
        Ok(Answer::Added { project, name: self.ledger().projects[&project].name.clone(), is_new: !known })
    }

    /// A part of what a spark's command wrote, so far or in all.
    pub(super) fn log_part(&self, id: SparkId, from: u64) -> Answer {
        let Some(spark) = self.ledger().spark(id) else { return Answer::Unknown(format!("there is no spark {id}")) };
        let is_over = spark.state.is_over();
        let part = match (spark.command_end(), &spark.state) {
            (Some(ended), _) => match self.logs.read(ended.log) {
                Ok(log) => Ok(log.into_iter().skip(from as usize).take(LOG_BYTES_MAX).collect()),
                Err(error) => return Answer::Refused(format!("the output is not here any more: {}", with_cause(&error))),
            },
            (None, SparkState::Running { attempt, .. }) => read_part(&self.logs.live(id, *attempt), from),
            (None, _) => Ok(Vec::new()),
        };
        match part {
            Ok(bytes) => Answer::Log { bytes, is_over },
            Err(error) => Answer::Refused(format!("the output cannot be read: {error}")),
        }
    }

    pub(super) fn audit_after(&self, after: u64) -> Answer {
        match audit::read(&self.data.journal()) {
            Ok(links) => {
                let later = links.into_iter().filter(|link| link.number > after).take(AUDIT_LINKS_MAX);
                Answer::Audit(later.map(|link| (link.number, link.body, link.hash)).collect())
            }
            Err(error) => Answer::Refused(with_cause(&error)),
        }
    }
}

/// Whoever is elsewhere could not look which folder it is that they name.
fn folder_here(root: &[u8]) -> Result<Vec<u8>, String> {
    let named = Path::new(OsStr::from_bytes(root));
    let cannot = |why: &dyn std::fmt::Display| format!("{} on the master's machine {why}", named.display());
    if !named.is_absolute() {
        return Err(cannot(&"has to be named from / on"));
    }
    let folder = named.canonicalize().map_err(|error| cannot(&format_args!("cannot be resolved: {error}")))?;
    if folder.is_dir() { Ok(folder.into_os_string().into_vec()) } else { Err(cannot(&"is not a folder")) }
}

fn read_part(path: &Path, from: u64) -> std::io::Result<Vec<u8>> {
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
