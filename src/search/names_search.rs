//! Two ways to find names: those that hold the query, and those that have its letters in its order.

use fleet_agent::pack::{PackError, Segment, letters};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};
use regex::bytes::{Regex, RegexBuilder};

use super::best::{Best, Fit, Place};
use crate::names::{Names, NamesError};

/// Fewer blocks than this are not worth a thread.
const BLOCKS_PER_THREAD_MIN: usize = 256;

/// A way to find names.
pub(super) trait Search: Sync {
    /// Offers each name of a pack's list that fits.
    fn in_segment(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError>;

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

/// Names that hold the query; any case if the query has no upper case.
pub(super) struct Literal {
    query: Vec<u8>,
    pattern: Regex,
}

impl Literal {
    pub(super) fn new(query: &str) -> Literal {
        let insensitive = !query.contains(char::is_uppercase);
        let pattern = RegexBuilder::new(&regex::escape(query)).case_insensitive(insensitive).build().expect("an escaped text is a pattern");
        Literal { query: query.into(), pattern }
    }

    /// Each name of a text that fits; the place is made of its number in the text.
    fn in_text(&self, text: &[u8], best: &mut Best, place: impl Fn(u32) -> Place) {
        // A name's end is no part of any name.
        if self.query.contains(&b'\n') {
            return;
        }
        let (mut from, mut number) = (0, 0);
        while let Some(found) = self.pattern.find_at(text, from) {
            let start = memchr::memrchr(b'\n', &text[from..found.start()]).map_or(from, |before| from + before + 1);
            let Some(length) = memchr::memchr(b'\n', &text[found.end()..]) else { return };
            let end = found.end() + length;
            number += memchr::memchr_iter(b'\n', &text[from..start]).count() as u32;
            let fit = match (found.start() == start, found.end() == end) {
                (true, true) => Fit::Exact,
                (true, false) => Fit::Prefix,
                (false, _) => Fit::Substring,
            };
            best.offer((fit, found.as_bytes() != self.query), &text[start..end], place(number));
            (from, number) = (end + 1, number + 1);
        }
    }

    fn in_blocks(&self, names: &Names, blocks: &[u32], threads: usize, names_max: usize) -> Result<Best, NamesError> {
        in_shares(blocks, threads, names_max, |blocks, best| {
            names.read_text(blocks, |block, text| self.in_text(text, best, |number| Place::Index(names.first_of(block) + number)))
        })
    }
}

impl Search for Literal {
    fn in_segment(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError> {
        self.in_text(segment.names(), best, |number| Place::Pack(pack, number));
        Ok(())
    }

    fn in_index(&self, names: &Names, threads: usize, names_max: usize) -> Result<Best, NamesError> {
        let beginning = names.blocks_with(&[b"\n", self.query.as_slice()].concat())?;
        let best = self.in_blocks(names, &beginning, threads, names_max)?;
        // Where enough names begin with the query, none that merely holds it is among the best.
        if best.dropped && best.names.last_key_value().is_some_and(|(worst, _)| worst.fit < Fit::Substring) {
            return Ok(best);
        }
        self.in_blocks(names, &names.blocks_with(&self.query)?, threads, names_max)
    }
}

/// Names that have the letters of the query in their order.
pub(super) struct Fuzzy {
    pattern: Pattern,
    /// What a name must have.
    needs: u64,
}

/// One for each thread.
struct Scorer<'f> {
    fuzzy: &'f Fuzzy,
    matcher: Matcher,
    characters: Vec<char>,
}

impl Fuzzy {
    pub(super) fn new(query: &str) -> Fuzzy {
        Fuzzy { pattern: Pattern::new(query, CaseMatching::Smart, Normalization::Never, AtomKind::Fuzzy), needs: letters(query.as_bytes()) }
    }

    fn scorer(&self) -> Scorer<'_> {
        Scorer { fuzzy: self, matcher: Matcher::new(Config::DEFAULT), characters: Vec::new() }
    }

    /// The names of some blocks that have the query's letters, by their numbers.
    fn candidates(&self, names: &Names, blocks: &[u32]) -> Result<Vec<u32>, NamesError> {
        let mut found = Vec::new();
        names.read_letters(blocks, |block, letters| {
            let has = |letters: &[u8; 8]| u64::from_le_bytes(*letters) & self.needs == self.needs;
            let numbers = (names.first_of(block)..).zip(letters.as_chunks::<8>().0);
            found.extend(numbers.filter(|(_, letters)| has(letters)).map(|(number, _)| number));
        })?;
        Ok(found)
    }
}

impl Scorer<'_> {
    fn offer(&mut self, name: &[u8], place: Place, best: &mut Best) {
        let Ok(text) = std::str::from_utf8(name) else { return };
        if let Some(score) = self.fuzzy.pattern.score(Utf32Str::new(text, &mut self.characters), &mut self.matcher) {
            best.offer((Fit::Fuzzy(std::cmp::Reverse(score)), false), name, place);
        }
    }
}

impl Search for Fuzzy {
    fn in_segment(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError> {
        segment.load_rows()?;
        let mut scorer = self.scorer();
        for number in (0..segment.count()).filter(|number| segment.letters(*number) & self.needs == self.needs) {
            scorer.offer(segment.name(number), Place::Pack(pack, number), best);
        }
        Ok(())
    }

    fn in_index(&self, names: &Names, threads: usize, names_max: usize) -> Result<Best, NamesError> {
        let blocks: Vec<u32> = names.blocks().collect();
        in_shares(&blocks, threads, names_max, |blocks, best| {
            let candidates = self.candidates(names, blocks)?;
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
