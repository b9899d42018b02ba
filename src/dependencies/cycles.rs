//! Files that need one another in a circle: the strongly connected components of what uses what.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

/// Each with at least two members, sorted; those with the most first. R. Tarjan, Depth-first search and linear graph algorithms,
/// SIAM J. Comput. 1 (1972), without recursion: trees are deeper than stacks.
pub(super) fn components<Edges: AsRef<[u32]>>(edges: &[Edges]) -> Vec<Vec<u32>> {
    const UNSEEN: u32 = u32::MAX;
    let count = edges.len();
    let (mut index, mut low, mut on_stack) = (vec![UNSEEN; count], vec![0; count], vec![false; count]);
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    for start in 0..count as u32 {
        if index[start as usize] != UNSEEN {
            continue;
        }
        // A file, and how many of its edges were walked.
        let mut walk = vec![(start, 0)];
        while let Some((file, walked)) = walk.last_mut() {
            let at = *file as usize;
            if *walked == 0 {
                (index[at], low[at], on_stack[at]) = (next, next, true);
                next += 1;
                stack.push(*file);
            }
            if let Some(&to) = edges[at].as_ref().get(*walked) {
                *walked += 1;
                match index[to as usize] {
                    UNSEEN => walk.push((to, 0)),
                    seen if on_stack[to as usize] => low[at] = low[at].min(seen),
                    _ => {}
                }
                continue;
            }
            let (file, _) = walk.pop().expect("it was just looked at");
            if let Some((above, _)) = walk.last() {
                low[*above as usize] = low[*above as usize].min(low[at]);
            }
            if low[at] == index[at] {
                let begin = stack.iter().rposition(|member| *member == file).expect("it is on the stack until its component is whole");
                let mut members = stack.split_off(begin);
                members.iter().for_each(|member| on_stack[*member as usize] = false);
                if members.len() > 1 {
                    members.sort_unstable();
                    found.push(members);
                }
            }
        }
    }
    found.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    found
}

/// A shortest way from the first member of a component back to it, through its members alone.
pub(super) fn shortest<Edges: AsRef<[u32]>>(edges: &[Edges], members: &[u32]) -> Vec<u32> {
    let start = members[0];
    let mut from = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for &to in edges[file as usize].as_ref().iter().filter(|to| members.binary_search(to).is_ok()) {
            if to == start {
                let mut way = vec![file];
                while let Some(before) = from.get(way.last().expect("it begins with one")) {
                    way.push(*before);
                }
                way.reverse();
                return way;
            }
            if let Entry::Vacant(unseen) = from.entry(to) {
                unseen.insert(file);
                queue.push_back(to);
            }
        }
    }
    members.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_and_what_hangs_on_them_is_not() {
        // 0 → 1 → 2 → 0, 2 → 3, 3 → 4 → 3, 5 → 0, 6 alone.
        let edges = [vec![1], vec![2], vec![0, 3], vec![4], vec![3], vec![0], vec![]];
        let found = components(&edges);
        assert_eq!(found, [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(shortest(&edges, &found[0]), [0, 1, 2]);
        assert_eq!(shortest(&edges, &found[1]), [3, 4]);
        // A shorter way through the same component.
        assert_eq!(shortest(&[vec![1, 2], vec![2], vec![0]], &[0, 1, 2]), [0, 2]);
    }

    #[test]
    fn a_long_chain_ends_no_stack() {
        const FILES: u32 = 1_000_000;
        let mut edges: Vec<Vec<u32>> = (1..FILES).map(|next| vec![next]).collect();
        edges.push(vec![0]);
        assert_eq!(components(&edges)[0].len(), FILES as usize);
        edges[FILES as usize - 1].clear();
        assert!(components(&edges).is_empty());
    }
}
