//! Looking for symbols in the last result: names first, records only for what is shown.
//!
//! Each pack lists its symbol names in order. A query runs over those lists with a literal search; only when that finds
//! nothing does a fuzzy match look at every name. An entry that no row of the result points to is of an older state and ignored.

use std::collections::BTreeMap;

use bitacora_core::{ids::Digest, paths::RelativePath, wire::record::Symbol};
use fleet_agent::{
    cache::CacheError,
    pack::{PackError, Segment, SymbolRef, letters},
};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};
use regex::bytes::{Regex, RegexBuilder};

use crate::result::{ResultError, StoredResult};

/// Names kept for each one shown: some may be of an older state of the tree.
const STALE_FACTOR: usize = 4;
/// Shorter queries match nearly everything fuzzily.
const FUZZY_CHARACTERS_MIN: usize = 3;

/// How well a name fits, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    Exact,
    Prefix,
    Substring,
    /// By nucleo's score, the highest first.
    Fuzzy(std::cmp::Reverse<u32>),
}

impl Fit {
    pub const fn name(self) -> &'static str {
        match self {
            Fit::Exact => "exact",
            Fit::Prefix => "prefix",
            Fit::Substring => "substring",
            Fit::Fuzzy(_) => "fuzzy",
        }
    }
}

/// A symbol that was found.
#[derive(Clone, Debug)]
pub struct Match {
    pub path: RelativePath,
    pub language: String,
    pub symbol: Symbol,
    pub fit: Fit,
}

/// A name that fits, in the order in which names are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    fit: Fit,
    /// It fits only when upper and lower case are the same.
    recased: bool,
    length: usize,
    name: Vec<u8>,
}

/// The best names so far and where they are: a pack, and the name's number there.
struct Best {
    names: BTreeMap<Key, Vec<(u32, u32)>>,
    names_max: usize,
    dropped: bool,
}

impl Best {
    fn new(names_max: usize) -> Best {
        Best { names: BTreeMap::new(), names_max, dropped: false }
    }

    /// Most names of a large tree end here, without a copy being made of them.
    fn offer(&mut self, (fit, recased): (Fit, bool), name: &[u8], place: (u32, u32)) {
        if self.names.len() >= self.names_max {
            let worst = self.names.last_key_value().map(|(key, _)| (key.fit, key.recased, key.length, key.name.as_slice()));
            if worst.is_some_and(|worst| worst < (fit, recased, name.len(), name)) {
                self.dropped = true;
                return;
            }
        }
        self.insert(Key { fit, recased, length: name.len(), name: name.to_vec() }, &[place]);
    }

    fn insert(&mut self, key: Key, places: &[(u32, u32)]) {
        self.names.entry(key).or_default().extend_from_slice(places);
        if self.names.len() > self.names_max {
            self.names.pop_last();
            self.dropped = true;
        }
    }

    fn merge(&mut self, other: Best) {
        self.dropped |= other.dropped;
        other.names.into_iter().for_each(|(key, places)| self.insert(key, &places));
    }
}

/// The best `limit` symbols for a query, and whether there were more. Upper case in the query makes it case-sensitive.
pub fn symbols(result: &mut StoredResult, query: &str, limit: usize, threads: usize) -> Result<(Vec<Match>, bool), ResultError> {
    let packs = result.manifest.packs();
    let mut names_max = limit.saturating_add(1).saturating_mul(STALE_FACTOR);
    loop {
        let best = best_names(result, &packs, query, names_max, threads)?;
        let dropped = best.dropped;
        let (found, more) = place(result, &packs, best, limit)?;
        // Names that were dropped for names of an older state are looked for again.
        if found.len() >= limit || !dropped {
            return Ok((found, more));
        }
        names_max = names_max.saturating_mul(STALE_FACTOR);
    }
}

fn best_names(result: &StoredResult, packs: &[Digest], query: &str, names_max: usize, threads: usize) -> Result<Best, CacheError> {
    let best = scan(result, packs, threads, names_max, &Literal::new(query))?;
    // Whoever knows a part of the name wants that; what merely has the same letters would bury it.
    if best.names.is_empty() && query.chars().count() >= FUZZY_CHARACTERS_MIN {
        return scan(result, packs, threads, names_max, &Fuzzy::new(query));
    }
    Ok(best)
}

/// Finds the symbols of the best names, by path where names are the same, and reads the records of those that are shown.
fn place(result: &mut StoredResult, packs: &[Digest], best: Best, limit: usize) -> Result<(Vec<Match>, bool), ResultError> {
    let places = Places::of(result);
    let (mut placed, mut open, mut segment) = (Vec::new(), None, Segment::default());
    let mut occurrences: BTreeMap<(u32, u32), Vec<SymbolRef>> = best.names.values().flatten().map(|place| (*place, Vec::new())).collect();
    for ((pack, number), found) in &mut occurrences {
        let name = packs[*pack as usize];
        let damaged = |error| CacheError::Pack(name, error);
        if open.replace(*pack) != Some(*pack) {
            result.cache().segment(name, &mut segment)?;
            segment.load_rows().map_err(damaged)?;
        }
        *found = segment.occurrences(*number).map_err(damaged)?;
    }
    for (order, (key, at)) in best.names.iter().enumerate() {
        for (pack, symbol) in at.iter().flat_map(|place| occurrences[place].iter().map(|symbol| (place.0, symbol))) {
            placed.extend(places.rows(pack, symbol.entry).map(|row| (order, row, symbol.ordinal, key.fit)));
        }
    }
    placed.sort_unstable();
    let more = best.dropped || placed.len() > limit;
    placed.truncate(limit);
    let mut matches = Vec::with_capacity(placed.len());
    for (_, row, ordinal, fit) in placed {
        let row = result.manifest.row(row).expect("it is one of the rows");
        let path = row.path()?;
        let record = result.record(row.record().expect("only rows with a record were looked at"))?;
        let language = record.language;
        let symbol = record.symbols.into_iter().nth(ordinal as usize);
        matches.extend(symbol.map(|symbol| Match { path, language, symbol, fit }));
    }
    Ok((matches, more))
}

/// Rows by the record they point to; the same content may lie at several paths.
struct Places {
    rows: Vec<(u32, u32, u32)>,
}

impl Places {
    fn of(result: &StoredResult) -> Places {
        let pointing = |row: crate::manifest::Row<'_>| row.record_place().map(|(pack, entry)| (pack, entry, row.number()));
        let mut rows: Vec<(u32, u32, u32)> = result.manifest.rows().filter_map(pointing).collect();
        rows.sort_unstable();
        Places { rows }
    }

    fn rows(&self, pack: u32, entry: u32) -> impl Iterator<Item = u32> + '_ {
        let from = self.rows.partition_point(|row| (row.0, row.1) < (pack, entry));
        self.rows[from..].iter().take_while(move |row| (row.0, row.1) == (pack, entry)).map(|row| row.2)
    }
}

/// A way to find names in a pack's list.
trait Search: Sync {
    /// Offers each name that fits, as one of the pack of this number.
    fn search(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError>;
}

fn scan(result: &StoredResult, packs: &[Digest], threads: usize, names_max: usize, search: &impl Search) -> Result<Best, CacheError> {
    let cache = result.cache();
    let share = |start: usize| -> Result<Best, CacheError> {
        let (mut best, mut segment) = (Best::new(names_max), Segment::default());
        for number in (start..packs.len()).step_by(threads.max(1)) {
            cache.segment(packs[number], &mut segment)?;
            search.search(&mut segment, number as u32, &mut best).map_err(|error| CacheError::Pack(packs[number], error))?;
        }
        Ok(best)
    };
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads.max(1)).map(|start| scope.spawn(move || share(start))).collect();
        let mut best = Best::new(names_max);
        for share in shares {
            best.merge(share.join().expect("a search does not panic")?);
        }
        Ok(best)
    })
}

struct Literal {
    query: Vec<u8>,
    pattern: Regex,
}

impl Literal {
    fn new(query: &str) -> Literal {
        let insensitive = !query.contains(char::is_uppercase);
        let pattern = RegexBuilder::new(&regex::escape(query)).case_insensitive(insensitive).build().expect("an escaped text is a pattern");
        Literal { query: query.into(), pattern }
    }
}

impl Search for Literal {
    fn search(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError> {
        let (mut number, mut from) = (0, 0);
        while let Some(place) = self.pattern.find_at(segment.names(), from).map(|place| place.range()) {
            let recased = segment.names()[place.clone()] != self.query;
            segment.load_rows()?;
            number = name_at(segment, number, place.start);
            let end = segment.name_end(number);
            if end <= from || end > segment.names().len() {
                return Ok(());
            }
            let (prefix, whole) = (segment.names()[..place.start].ends_with(b"\n") || place.start == 0, segment.name(number).len() == place.len());
            let fit = match (prefix, whole) {
                (true, true) => Fit::Exact,
                (true, false) => Fit::Prefix,
                (false, _) => Fit::Substring,
            };
            best.offer((fit, recased), segment.name(number), (pack, number));
            from = end;
        }
        Ok(())
    }
}

/// The first name from `from` on that ends behind `byte`.
fn name_at(segment: &Segment, from: u32, byte: usize) -> u32 {
    if segment.name_end(from) > byte {
        return from;
    }
    let (mut low, mut high) = (from + 1, segment.count());
    while low < high {
        let middle = low + (high - low) / 2;
        if segment.name_end(middle) <= byte { low = middle + 1 } else { high = middle }
    }
    low
}

struct Fuzzy {
    pattern: Pattern,
    /// What a name must have.
    needs: u64,
}

impl Fuzzy {
    fn new(query: &str) -> Fuzzy {
        Fuzzy { pattern: Pattern::new(query, CaseMatching::Smart, Normalization::Never, AtomKind::Fuzzy), needs: letters(query.as_bytes()) }
    }
}

impl Search for Fuzzy {
    fn search(&self, segment: &mut Segment, pack: u32, best: &mut Best) -> Result<(), PackError> {
        segment.load_rows()?;
        let (mut matcher, mut characters) = (Matcher::new(Config::DEFAULT), Vec::new());
        for number in (0..segment.count()).filter(|number| segment.letters(*number) & self.needs == self.needs) {
            let Ok(name) = std::str::from_utf8(segment.name(number)) else { continue };
            if let Some(score) = self.pattern.score(Utf32Str::new(name, &mut characters), &mut matcher) {
                best.offer((Fit::Fuzzy(std::cmp::Reverse(score)), false), segment.name(number), (pack, number));
            }
        }
        Ok(())
    }
}
