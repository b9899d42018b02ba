//! Records for nodes that are to have them, and for people who want to see them: which packs a result stands on is looked up
//! here, who gets them and who has them the core decides.

use std::collections::{BTreeSet, HashMap};

use bitacora_core::{
    fleet::{Event, Notice, Requester, Warming},
    ids::{Digest, NodeId},
};
use crossbeam_channel::Sender;
use fleet_agent::{search::NamesWanted, work::with_cause};

use super::{Master, MasterError};
use crate::{
    control::{self, Answer, BROUGHT_MAX, Warmth},
    result::{self, Extent, Swept, read_manifest},
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

    /// Brings packs to this disk, beside the loop.
    pub(super) fn bring(&self, mut packs: Vec<Digest>, answer: Sender<Answer>) {
        packs.truncate(BROUGHT_MAX);
        let Some(serving) = &self.serving else { return };
        let holders = self.holder_names(&packs);
        serving.links.bring(packs, move |lacking| {
            let nodes = named(&lacking, &holders);
            // Whoever asked may be gone.
            let _ = answer.send(Answer::Brought { lacking, nodes });
        });
    }

    /// Has nodes look for names in their packs, beside the loop.
    pub(super) fn search(&self, wanted: NamesWanted, answer: Sender<Answer>) {
        let Some(serving) = &self.serving else { return };
        let holders = self.holder_names(&wanted.packs);
        let packs = wanted.packs.iter().map(|pack| (*pack, self.fleet.holders_of(*pack).into())).collect();
        serving.links.search(NamesWanted { packs: Vec::new(), ..wanted }, packs, move |found, lacking| {
            let nodes = named(&lacking, &holders);
            let _ = answer.send(Answer::Searched { found, lacking, nodes });
        });
    }

    /// Removes what nothing stands on. Not before every job is over, and no tree is listed: what they wrote or found nobody
    /// points to yet.
    pub(super) fn sweep(&mut self) -> Result<Answer, MasterError> {
        let Some(serving) = &self.serving else { return Ok(Answer::Busy) };
        if serving.listings > 0 || !self.fleet.is_idle() {
            return Ok(Answer::Refused(
                "what jobs that are not over have found is not to be removed; `bitacora job ls` lists them, ask again when they are".into(),
            ));
        }
        // What it goes by is not lost with this process.
        self.commit()?;
        Ok(match result::sweep(&self.data, self.ledger(), Extent::Ended) {
            Ok(Swept { files, bytes, more }) => Answer::Swept { files, bytes, more },
            Err(error) => Answer::Refused(with_cause(&error)),
        })
    }

    fn holder_names(&self, packs: &[Digest]) -> HashMap<Digest, Vec<String>> {
        let names = |pack: &Digest| self.fleet.holders_of(*pack).into_iter().map(|node| self.name_of(node)).collect();
        packs.iter().map(|pack| (*pack, names(pack))).collect()
    }

    fn name_of(&self, node: NodeId) -> String {
        self.ledger().nodes.get(&node).map_or_else(|| node.to_string(), |node| node.name.clone())
    }
}

/// Those that have any of these packs.
fn named(packs: &[Digest], holders: &HashMap<Digest, Vec<String>>) -> Vec<String> {
    let nodes: BTreeSet<&String> = packs.iter().filter_map(|pack| holders.get(pack)).flatten().collect();
    nodes.into_iter().cloned().collect()
}
