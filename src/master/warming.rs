//! Records for nodes that are to have them: which packs a result stands on is looked up here, who gets them the core decides.

use bitacora_core::{
    fleet::{Event, Notice, Requester, Warming},
    ids::NodeId,
};
use fleet_agent::work::with_cause;

use super::{Master, MasterError};
use crate::{
    control::{self, Answer, Warmth},
    result::read_manifest,
};

impl Master {
    /// Has nodes keep the records of a project's last result.
    pub(super) fn warm(&mut self, by: Requester, Warmth { project, nodes, timeout }: Warmth) -> Result<Answer, MasterError> {
        let Some(known) = self.ledger().projects.get(&project) else {
            return Ok(Answer::Unknown(format!("there is no project {project}; `bitacora project ls` lists them")));
        };
        let Some(last) = known.history.last() else { return Ok(Answer::Refused(format!("{} was not analysed yet", known.name))) };
        let manifest = match read_manifest(&self.data, last.manifest) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Answer::Refused(with_cause(&error))),
        };
        let warming = Warming { packs: manifest.packs(), fingerprint: manifest.fingerprint(), nodes, timeout };
        let notices = self.turn_for(by, [Event::WarmingAsked(warming)])?;
        let refused = control::outcome(&notices);
        if refused != Answer::Done {
            return Ok(refused);
        }
        let (mut jobs, mut missed) = (Vec::new(), Vec::new());
        for notice in notices {
            match notice {
                Notice::JobAccepted(job) => jobs.push(job),
                Notice::NotWarmed(node) => missed.push(self.name_of(node)),
                _ => {}
            }
        }
        Ok(Answer::Warming { jobs, missed })
    }

    fn name_of(&self, node: NodeId) -> String {
        self.ledger().nodes.get(&node).map_or_else(|| node.to_string(), |node| node.name.clone())
    }
}
