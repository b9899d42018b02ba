//! What is asked of nodes beside their work: how their machines are, and a search over those that have packs. Each pack is looked
//! through by one of its holders, and all of them at the same time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bitacora_core::ids::{Digest, NodeId};
use fleet_agent::{
    doctor::Finding,
    net::{
        carrier::Link,
        codec::{Kind, Received, RequestId},
        transfer::{self, TransferError, Wanted},
    },
    search::{FoundNames, NamesWanted},
    work::with_cause,
};
use tokio::{task::JoinSet, time::timeout};

use super::{LinkEvent, Shared};

/// For what one node looks through.
const SEARCH_MAX: Duration = Duration::from_secs(30);
/// For what a node looks at on its own machine.
const EXAMINATION_MAX: Duration = Duration::from_secs(10);
/// What one node may answer.
const FOUND_BYTES_MAX: u64 = 64 << 20;

/// A pack, and the nodes that can be asked about it, the best one first.
pub type Asked = (Digest, VecDeque<NodeId>);

/// Answers with what the nodes found, and the packs that nobody could look through.
pub(super) async fn search(shared: &Shared, wanted: &NamesWanted, packs: Vec<Asked>) -> (Vec<FoundNames>, Vec<Digest>) {
    let (mut found, mut lacking, mut left) = (Vec::new(), Vec::new(), packs);
    // Each round asks another holder of what is left: it ends with the longest list of them.
    while !left.is_empty() {
        let mut rounds: BTreeMap<NodeId, Vec<Asked>> = BTreeMap::new();
        for (pack, mut holders) in left.drain(..) {
            match holders.pop_front() {
                Some(node) => rounds.entry(node).or_default().push((pack, holders)),
                None => lacking.push(pack),
            }
        }
        let mut asked = JoinSet::new();
        for (node, packs) in rounds {
            let wanted = NamesWanted { packs: packs.iter().map(|(pack, _)| *pack).collect(), ..wanted.clone() };
            let link = shared.linked.get(node);
            asked.spawn(async move { (node, packs, ask(link, &wanted).await) });
        }
        while let Some(answer) = asked.join_next().await {
            let (node, packs, answer) = answer.expect("asking neither panics nor is ended while somebody waits for it");
            match answer {
                Some(answer) => {
                    let missed: BTreeSet<Digest> = answer.missed.iter().copied().collect();
                    missed.iter().for_each(|pack| shared.tell(LinkEvent::PackMissed { node, pack: *pack }));
                    left.extend(packs.into_iter().filter(|(pack, _)| missed.contains(pack)));
                    found.push(answer);
                }
                None => left.extend(packs),
            }
        }
    }
    (found, lacking)
}

/// What a node finds of its own machine.
pub(super) async fn examine(link: &Link) -> Result<Vec<Finding>, String> {
    let exchange = async {
        let mut transfer = link.open_transfer().await?;
        transfer.tx.send(Kind::Examine, RequestId(1), "").await?;
        match transfer.rx.receive().await? {
            Some(Received::Frame(frame)) if frame.kind == Kind::Findings => Ok(Some(frame.body()?)),
            Some(Received::Frame(frame)) if frame.kind == Kind::Unsupported => Ok(None),
            Some(Received::Frame(frame)) => Err(TransferError::Unexpected(frame.kind)),
            Some(Received::Unsupported(_)) | None => Err(TransferError::Ended),
        }
    };
    match timeout(EXAMINATION_MAX, exchange).await {
        Ok(Ok(Some(findings))) => Ok(findings),
        Ok(Ok(None)) => Err("its agent is too old for that; `fleet-agent doctor` on its machine says the same".to_owned()),
        Ok(Err(error)) => Err(with_cause(&error)),
        Err(_) => Err("it did not answer in time".to_owned()),
    }
}

/// `None` where the node cannot be asked, is too slow, or answers what makes no sense.
async fn ask(link: Option<Link>, wanted: &NamesWanted) -> Option<FoundNames> {
    let link = link?;
    let exchange = async {
        let mut transfer = link.open_transfer().await?;
        transfer.tx.send(Kind::NamesWanted, RequestId(1), wanted).await?;
        let answer: Wanted = transfer::expect(&mut transfer, Kind::NamesFound).await?.body()?;
        let name = *answer.names.first().ok_or(TransferError::Ended)?;
        transfer::receive(&mut transfer, name, FOUND_BYTES_MAX).await
    };
    let bytes = timeout(SEARCH_MAX, exchange).await.ok()?.ok()??;
    rmp_serde::from_slice(&bytes).ok()
}
