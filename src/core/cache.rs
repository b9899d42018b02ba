//! When may an earlier result stand for a file, and which nodes are to have a copy of it? Keys and decisions, without files.

use alloc::{collections::BTreeSet, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Digest, NodeId},
    time::{Span, Time},
    wire::task::{FailReason, FileResult, FileStat},
};

/// The key of a result: same content, read as the same language, by the same engine, is the same record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    pub content: [u8; 32],
    pub language: alloc::string::String,
    pub fingerprint: [u8; 32],
}

impl RecordKey {
    pub fn new(content: Digest, language: &str, fingerprint: Digest) -> RecordKey {
        RecordKey { content: content.0, language: language.into(), fingerprint: fingerprint.0 }
    }
}

/// A file that was modified this shortly before it was listed may have been modified again without its times showing
/// it: file systems tick as rarely as every two seconds (the "racy git" problem).
pub const RACY: Span = Span::from_secs(2);

/// As much for the inode's change time, which no program can set and which file systems keep by the kernel's own clock,
/// a tick of a hundredth of a second at worst.
pub const TICK: Span = Span::from_millis(20);

/// Does an earlier outcome still hold for a file that looks like this now, without reading it?
pub fn still_holds(earlier: &FileResult, seen: Option<FileStat>, now: FileStat, listed_at: Time) -> bool {
    // A quarantined file takes a process with it: it is left alone for as long as it looks the same.
    let trusted = is_settled(now, listed_at) || *earlier == FileResult::Failed(FailReason::Quarantined);
    seen == Some(now) && trusted && is_lasting(earlier)
}

/// Was the file left alone for long enough before it was listed?
pub fn is_settled(stat: FileStat, listed_at: Time) -> bool {
    let listed_at = listed_at.0 as i64;
    stat.modified_ns / 1_000 + (RACY.0 as i64) <= listed_at && stat.changed_ns / 1_000 + (TICK.0 as i64) <= listed_at
}

/// Would the same bytes come to the same outcome? What depended on the moment is tried again.
pub fn is_lasting(result: &FileResult) -> bool {
    match result {
        FileResult::Analysed { .. } | FileResult::Skipped(_) => true,
        FileResult::Failed(FailReason::TooComplex | FailReason::TooLarge | FailReason::Quarantined) => true,
        FileResult::Failed(_) => false,
    }
}

/// The nodes that are to be given a copy of a pack so that so many have one. Each pack has an order of its own among all nodes
/// (rendezvous hashing, Thaler and Ravishankar 1996): where nodes come and go, only what they have or are to have moves.
pub fn copies_due(pack: Digest, holders: &BTreeSet<NodeId>, nodes: impl Iterator<Item = NodeId>, copies: usize) -> Vec<NodeId> {
    let due = copies.saturating_sub(holders.len());
    if due == 0 {
        return Vec::new();
    }
    let mut ranked: Vec<(u64, NodeId)> = nodes.filter(|node| !holders.contains(node)).map(|node| (weight(pack, node), node)).collect();
    ranked.sort_unstable_by(|one, other| other.cmp(one));
    ranked.into_iter().take(due).map(|(_, node)| node).collect()
}

fn weight(pack: Digest, node: NodeId) -> u64 {
    let (words, _) = pack.0.as_chunks::<8>();
    words.iter().fold(splitmix(node.0), |hash, word| splitmix(hash ^ u64::from_le_bytes(*word)))
}

/// SplitMix64 (Steele, Lea, Flood 2014): one well-mixed value from a key.
pub(crate) fn splitmix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::task::SkipReason;

    fn due(pack: u8, holders: &[u64], nodes: u64, copies: usize) -> Vec<u64> {
        let holders = holders.iter().copied().map(NodeId).collect();
        copies_due(Digest([pack; 32]), &holders, (1..=nodes).map(NodeId), copies).into_iter().map(|node| node.0).collect()
    }

    #[test]
    fn copies_go_to_others_and_no_more_than_are_due() {
        assert!(due(1, &[1, 2], 9, 2).is_empty() && due(1, &[1], 1, 2).is_empty() && due(1, &[1, 2, 3], 9, 2).is_empty());
        for pack in 0..100 {
            let chosen = due(pack, &[3], 9, 3);
            assert!(chosen.len() == 2 && chosen[0] != chosen[1] && !chosen.contains(&3), "{chosen:?}");
        }
    }

    #[test]
    fn a_node_that_comes_takes_only_its_share() {
        let given = |nodes| (0..=255).map(|pack| due(pack, &[], nodes, 1)[0]).collect::<Vec<_>>();
        let (before, after) = (given(8), given(9));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).map(|(_, after)| *after).collect::<Vec<_>>();
        assert!(moved.iter().all(|node| *node == 9), "from one old node to another nothing goes");
        assert!((10..60).contains(&moved.len()), "{} of 256 where a ninth is due", moved.len());
        for node in 1..=8 {
            let share = before.iter().filter(|chosen| **chosen == node).count();
            assert!((10..70).contains(&share), "node {node} has {share} of 256 where an eighth is due");
        }
    }

    #[test]
    fn recently_modified_files_are_read_again() {
        let stat = FileStat { size: 1, modified_ns: 10_000_000_000, changed_ns: 0, inode: 5 };
        let result = FileResult::Skipped(SkipReason::Binary);
        assert!(still_holds(&result, Some(stat), stat, Time(12_000_000)));
        assert!(!still_holds(&result, Some(stat), stat, Time(11_999_999)));
        assert!(!still_holds(&result, None, stat, Time(20_000_000)));
        let replaced = FileStat { inode: 6, ..stat };
        assert!(!still_holds(&result, Some(stat), replaced, Time(20_000_000)));
        assert!(!still_holds(&FileResult::Failed(FailReason::TimedOut), Some(stat), stat, Time(20_000_000)));
    }
}
