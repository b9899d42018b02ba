//! Ways to find names, in the index of a project's names.

use fleet_agent::search::{Best, Fit, Fuzzy, Literal, Place, Search};

use crate::names::{Names, NamesError};

/// Fewer blocks than this are not worth a thread.
const BLOCKS_PER_THREAD_MIN: usize = 256;

/// A way to find names that knows the index too.
pub(super) trait IndexSearch: Search {
    /// The best names of an index.
    fn in_index(&self, names: &Names, threads: usize, names_max: usize) -> Result<Best, NamesError>;
}

/// The best of what is found in each share of the blocks.
fn in_shares(
    blocks: &[u32],
    threads: usize,
    names_max: usize,
    search: impl Fn(&[u32], &mut Best) -> Result<(), NamesError> + Sync,
) -> Result<Best, NamesError> {
    let share = |blocks: &[u32]| {
        let mut best = Best::new(names_max);
        search(blocks, &mut best).map(|()| best)
    };
    let length = blocks.len().div_ceil(threads).max(BLOCKS_PER_THREAD_MIN);
    let (first, others) = blocks.split_at(blocks.len().min(length));
    std::thread::scope(|scope| {
        let others: Vec<_> = others.chunks(length).map(|blocks| scope.spawn(|| share(blocks))).collect();
        let mut best = share(first)?;
        for other in others {
            best.merge(other.join().expect("a search does not panic")?);
        }
        Ok(best)
    })
}

impl IndexSearch for Literal {
    fn in_index(&self, names: &Names, threads: usize, names_max: usize) -> Result<Best, NamesError> {
        let beginning = names.blocks_with(&[b"\n", self.query()].concat())?;
        let best = literal_in_blocks(self, names, &beginning, threads, names_max)?;
        // Where enough names begin with the query, none that merely holds it is among the best.
        if best.dropped && best.names.last_key_value().is_some_and(|(worst, _)| worst.fit < Fit::Substring) {
            return Ok(best);
        }
        literal_in_blocks(self, names, &names.blocks_with(self.query())?, threads, names_max)
    }
}

fn literal_in_blocks(literal: &Literal, names: &Names, blocks: &[u32], threads: usize, names_max: usize) -> Result<Best, NamesError> {
    in_shares(blocks, threads, names_max, |blocks, best| {
        names.read_text(blocks, |block, text| literal.in_text(text, best, |number| Place::Index(names.first_of(block) + number)))
    })
}

/// The names of some blocks that have the query's letters, by their numbers.
fn candidates(fuzzy: &Fuzzy, names: &Names, blocks: &[u32]) -> Result<Vec<u32>, NamesError> {
    let mut found = Vec::new();
    names.read_letters(blocks, |block, letters| {
        let numbers = (names.first_of(block)..).zip(letters.as_chunks::<8>().0);
        found.extend(numbers.filter(|(_, letters)| fuzzy.may_fit(u64::from_le_bytes(**letters))).map(|(number, _)| number));
    })?;
    Ok(found)
}

impl IndexSearch for Fuzzy {
    fn in_index(&self, names: &Names, threads: usize, names_max: usize) -> Result<Best, NamesError> {
        let blocks: Vec<u32> = names.blocks().collect();
        in_shares(&blocks, threads, names_max, |blocks, best| {
            let candidates = candidates(self, names, blocks)?;
            let mut with_any: Vec<u32> = candidates.iter().map(|number| names.block_of(*number)).collect();
            with_any.dedup();
            let (mut scorer, mut next) = (self.scorer(), candidates.into_iter().peekable());
            names.read_text(&with_any, |block, text| {
                let mut start = 0;
                for (number, end) in (names.first_of(block)..).zip(memchr::memchr_iter(b'\n', text)) {
                    if next.next_if_eq(&number).is_some() {
                        scorer.offer(&text[start..end], Place::Index(number), best);
                    }
                    start = end + 1;
                }
            })
        })
    }
}
