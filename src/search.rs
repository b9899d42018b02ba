//! Looking for symbols in the last result: names first, records only for what is shown.
//!
//! Names are looked for in the project's index and in the lists of the packs that it does not cover, with a literal
//! search; `Class.method` is looked for by the name behind the last dot when no name holds it as it stands; and only when
//! that finds nothing either does a fuzzy match look at every name. An entry that no row of the result points to is of an
//! older state and ignored. What is found, and its order, does not depend on whether there is an index.

mod modules;
mod names_search;
mod source;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bitacora_core::{
    ids::Digest,
    paths::RelativePath,
    wire::record::{FileRecord, Symbol},
};
pub use fleet_agent::search::Fit;
use fleet_agent::{
    cache::{Cache, CacheError},
    pack::{Segment, SymbolRef},
    search::{Best, Fuzzy, Literal, NAMES_MAX, NamesWanted, Place},
};
use names_search::IndexSearch;
pub use source::{Source, source};

use crate::{
    control::{self, Answer, Request},
    manifest::{ManifestError, Row},
    names::{self, Names, NamesError},
    result::{Holders, Lacking, ResultError, StoredResult},
};

/// Names kept for each one shown: some may be of an older state of the tree.
const STALE_FACTOR: usize = 4;
/// Shorter queries match nearly everything fuzzily.
const FUZZY_CHARACTERS_MIN: usize = 3;
/// Records that are read to see what a name stands in.
const QUALIFIED_RECORDS_MAX: usize = 4096;
/// Names that are looked at first for such a query, however few symbols are asked for.
const QUALIFIED_NAMES_MIN: usize = 256;
/// An index is made once this much of the names is not covered: a hundredth of a second's reading.
const UNCOVERED_BYTES_MAX: u64 = 4 << 20;

/// A symbol that was found.
#[derive(Clone, Debug)]
pub struct Match {
    pub path: RelativePath,
    pub language: String,
    pub symbol: Symbol,
    pub fit: Fit,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The best ones, in order.
    pub matches: Vec<Match>,
    /// Are there others?
    pub more: bool,
    /// Nodes that have names or records, and could not be asked: there may be better ones.
    pub out_of_reach: BTreeSet<String>,
    /// Files whose names or records were wanted and were not to be had: there may be better ones in them.
    pub lacking: Lacking,
    /// So many names were looked through without an index that one would pay: see [`make_index`].
    pub index_due: Option<u64>,
}

/// A part of a search that failed.
enum Trouble {
    /// The index counts for nothing any more.
    Index,
    Result(ResultError),
}

impl From<NamesError> for Trouble {
    fn from(_: NamesError) -> Trouble {
        Trouble::Index
    }
}

impl<E: Into<ResultError>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Result(error.into())
    }
}

/// The best `limit` symbols for a query. Upper case in the query makes it case-sensitive. `index` is where the project's
/// index of names lies, if there is one.
pub fn symbols(result: &mut StoredResult, index: &Path, query: &str, limit: usize, threads: usize) -> Result<Found, ResultError> {
    // One that is damaged is none, and made again.
    let mut index = Names::open(index).ok().flatten();
    loop {
        let sources = Sources::new(result, index, threads.max(1));
        match sources.symbols(result, query, limit) {
            Ok((matches, more)) => {
                let mut out_of_reach = sources.away.nodes();
                out_of_reach.extend(result.out_of_reach().iter().cloned());
                let lacking = Lacking { lost: files_of(result, &sources.lost())?, away: files_of(result, &sources.away.out_of_reach())? };
                return Ok(Found { matches, more, out_of_reach, lacking, index_due: sources.index_due() });
            }
            Err(Trouble::Result(error)) => return Err(error),
            Err(Trouble::Index) => index = None,
        }
    }
}

/// Makes the index of a result's names. A search works without it.
pub fn make_index(result: &StoredResult, index: &Path, names_max: u64) -> Result<(), NamesError> {
    names::build(index, &result.manifest.packs(), names_max, |pack| result.cache().packs().path(pack))
}

/// Where the names of a result are.
struct Sources {
    cache: Cache,
    /// Of the result, by their numbers there.
    packs: Vec<Digest>,
    index: Option<Index>,
    /// Packs that the index does not cover.
    rest: Vec<u32>,
    rest_bytes: u64,
    rest_names: u64,
    away: Away,
    /// Packs of which something was wanted that cannot be read.
    lost: Mutex<BTreeSet<u32>>,
    threads: usize,
}

struct Index {
    names: Names,
    /// The number of each of its packs in the result; `None` where the result has outlived it.
    packs: Vec<Option<u32>>,
}

impl Sources {
    fn new(result: &StoredResult, index: Option<Names>, threads: usize) -> Sources {
        let (cache, packs) = (result.cache().clone(), result.manifest.packs());
        let numbers: HashMap<Digest, u32> = packs.iter().copied().zip(0..).collect();
        let index = index.map(|names| Index { packs: names.packs().iter().map(|name| numbers.get(name).copied()).collect(), names });
        let mut covered = vec![false; packs.len()];
        index.iter().flat_map(|index| index.packs.iter().flatten()).for_each(|number| covered[*number as usize] = true);
        let uncovered = (0_u32..).zip(covered).filter(|(_, covered)| !covered).map(|(number, _)| number);
        let (rest, absent): (Vec<u32>, Vec<u32>) = uncovered.partition(|number| result.is_here(packs[*number as usize]));
        let away = Away::new(result, absent, &packs);
        let extents = rest.iter().filter_map(|number| cache.names_extent(packs[*number as usize]).ok());
        let (rest_bytes, rest_names) = extents.fold((0, 0), |(bytes, names), extent| (bytes + extent.bytes, names + u64::from(extent.names)));
        Sources { cache, packs, index, rest, rest_bytes, rest_names, away, lost: Mutex::default(), threads }
    }

    /// A pack that cannot be read costs its own files. One that is not as it was written is set aside, so that the next analysis
    /// makes it again.
    fn lose(&self, pack: u32) {
        if self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(pack) {
            let _ = self.cache.packs().read(self.packs[pack as usize]);
        }
    }

    fn lost(&self) -> BTreeSet<u32> {
        let away = self.away.lost();
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().chain(away).collect()
    }

    /// How many names an index would have, if it is time for one: too much is not covered, or too much of it is not needed.
    fn index_due(&self) -> Option<u64> {
        let gone = self.index.as_ref().map_or(0, |index| index.packs.iter().filter(|pack| pack.is_none()).count());
        let due = self.rest_bytes > UNCOVERED_BYTES_MAX || self.index.as_ref().is_some_and(|index| gone * 2 > index.packs.len());
        // What nodes look through needs no index here, and could not be in it; nor could what is lost.
        (due && self.away.packs.is_empty() && self.lost().is_empty())
            .then(|| self.rest_names + self.index.as_ref().map_or(0, |index| u64::from(index.names.len())))
    }

    fn symbols(&self, result: &mut StoredResult, query: &str, limit: usize) -> Result<(Vec<Match>, bool), Trouble> {
        let mut names_max = limit.saturating_add(1).saturating_mul(STALE_FACTOR);
        loop {
            let best = self.scan(names_max, &Literal::new(query))?;
            let (mut dropped, mut placed) = (best.dropped, self.place(result, &best)?);
            // Only names of an older state hold it, or none.
            if placed.is_empty() && (!dropped || self.is_in_vain(result, names_max)) {
                if let Some(qualified) = Qualified::parse(query) {
                    let (found, more) = self.qualified(result, &qualified, limit)?;
                    if !found.is_empty() {
                        return Ok((found, more));
                    }
                }
                // Whoever knows a part of the name wants that; what merely has the same letters would bury it.
                if query.chars().count() >= FUZZY_CHARACTERS_MIN {
                    let best = self.scan(names_max, &Fuzzy::new(query))?;
                    (dropped, placed) = (best.dropped, self.place(result, &best)?);
                }
            }
            let more = dropped || placed.len() > limit;
            placed.truncate(limit);
            let found = self.read(result, &placed, |_, _, _| true)?;
            // Names that were dropped for names of an older state are looked for again.
            if found.len() >= limit || !dropped || self.is_in_vain(result, names_max) {
                return Ok((found, more));
            }
            names_max = names_max.saturating_mul(STALE_FACTOR);
        }
    }

    /// Would asking for more names bring no more? Records are out of reach or lost, or the nodes keep no more names.
    fn is_in_vain(&self, result: &StoredResult, names_max: usize) -> bool {
        !result.out_of_reach().is_empty() || !self.lost().is_empty() || (names_max >= NAMES_MAX && !self.away.packs.is_empty())
    }

    /// By the last part of the name, and what it stands in.
    fn qualified(&self, result: &mut StoredResult, query: &Qualified, limit: usize) -> Result<(Vec<Match>, bool), Trouble> {
        let mut names_max = QUALIFIED_NAMES_MIN;
        loop {
            let best = self.scan(names_max, &Literal::new(&query.name))?;
            let mut placed = self.place(result, &best)?;
            let cut = placed.len() > QUALIFIED_RECORDS_MAX;
            placed.truncate(QUALIFIED_RECORDS_MAX);
            let stands_there = |path: &RelativePath, record: &FileRecord<&str>, symbol: &Symbol<&str>| {
                query.is_container(&modules::module_of(path.as_bytes(), record.language), symbol.container)
            };
            let mut found = self.read(result, &placed, stands_there)?;
            // What it stands in is only known of what was read: names that were dropped may be the ones that were meant.
            if found.len() > limit || cut || !best.dropped || self.is_in_vain(result, names_max) {
                let more = cut || best.dropped || found.len() > limit;
                found.truncate(limit);
                return Ok((found, more));
            }
            names_max = names_max.saturating_mul(STALE_FACTOR);
        }
    }

    /// The best names, in the index and in the packs beside it.
    fn scan(&self, names_max: usize, search: &impl IndexSearch) -> Result<Best, Trouble> {
        let share = |start: usize| {
            let (mut best, mut segment) = (Best::new(names_max), Segment::default());
            for &number in self.rest.iter().skip(start).step_by(self.threads) {
                let read = self.cache.segment(self.packs[number as usize], &mut segment).is_ok();
                if !read || search.in_segment(&mut segment, number, &mut best).is_err() {
                    self.lose(number);
                }
            }
            best
        };
        let mut best = match &self.index {
            Some(index) => search.in_index(&index.names, self.threads, names_max)?,
            None => Best::new(names_max),
        };
        best.merge(self.away.scan(names_max, search));
        std::thread::scope(|scope| {
            let shares = self.threads.min(self.rest.len());
            let shares: Vec<_> = (0..shares).map(|start| scope.spawn(move || share(start))).collect();
            for share in shares {
                best.merge(share.join().expect("a search does not panic"));
            }
            Ok(best)
        })
    }

    /// The symbols of the best names, by path where names are the same.
    fn place(&self, result: &StoredResult, best: &Best) -> Result<Vec<Placed>, Trouble> {
        let occurrences = self.occurrences(best)?;
        let rows = Rows::of(result, occurrences.values().flatten().map(|(pack, symbol)| (*pack, symbol.entry)));
        let mut placed = Vec::new();
        for (order, (key, at)) in best.names.iter().enumerate() {
            for (pack, symbol) in at.iter().flat_map(|place| &occurrences[place]) {
                let place = |row: &u32| Placed { order, row: *row, ordinal: symbol.ordinal, fit: key.fit };
                placed.extend(rows.at(*pack, symbol.entry).iter().map(place));
            }
        }
        placed.sort_unstable_by_key(|placed| (placed.order, placed.row, placed.ordinal));
        Ok(placed)
    }

    /// Where the names are defined, by packs of the result.
    fn occurrences(&self, best: &Best) -> Result<BTreeMap<Place, Vec<(u32, SymbolRef)>>, Trouble> {
        let mut found: BTreeMap<Place, Vec<(u32, SymbolRef)>> = best.names.values().flatten().map(|place| (*place, Vec::new())).collect();
        let mut open = OpenSegment::default();
        for (place, symbols) in &mut found {
            match (*place, &self.index) {
                (Place::Index(number), Some(index)) => {
                    let known = |(pack, symbol)| Some((index.packs.get(pack as usize).copied().flatten()?, symbol));
                    symbols.extend(index.names.occurrences(number)?.into_iter().filter_map(known));
                }
                (Place::Away(number), _) => symbols.extend(self.away.places(number)),
                (Place::Index(_), None) => unreachable!("no name was found in an index that there is not"),
                (Place::Pack(pack, number), _) => match open.occurrences(self, pack, number) {
                    Ok(read) => symbols.extend(read.into_iter().map(|symbol| (pack, symbol))),
                    Err(_) => self.lose(pack),
                },
            }
        }
        Ok(found)
    }

    /// The wanted ones of these symbols. Each record is read once.
    fn read(
        &self,
        result: &mut StoredResult,
        placed: &[Placed],
        wanted: impl Fn(&RelativePath, &FileRecord<&str>, &Symbol<&str>) -> bool,
    ) -> Result<Vec<Match>, Trouble> {
        let mut reading = Vec::with_capacity(placed.len());
        for (order, placed) in placed.iter().enumerate() {
            let row = result.manifest.row(placed.row).expect("it is one of the rows");
            let reference = row.record().expect("only rows with a record were looked at");
            let place = row.record_place().expect("it has a record");
            reading.push((place, order, reference, row.path()?));
        }
        reading.sort_by_key(|(record, order, ..)| (*record, *order));
        result.bring(reading.iter().map(|(_, _, reference, _)| reference.pack));
        let mut matches: Vec<(usize, Match)> = Vec::with_capacity(placed.len());
        for same in reading.chunk_by(|one, next| one.0 == next.0) {
            if result.is_out_of_reach(same[0].2.pack) {
                self.away.miss(same[0].0.0);
                continue;
            }
            let Ok(record) = result.record(same[0].2) else {
                self.lose(same[0].0.0);
                continue;
            };
            for (_, order, _, path) in same {
                let Placed { ordinal, fit, .. } = placed[*order];
                if let Some(symbol) = record.symbols.get(ordinal as usize).filter(|symbol| wanted(path, &record, symbol)) {
                    matches.push((*order, Match { path: path.clone(), language: record.language.to_owned(), symbol: symbol.to_owned(), fit }));
                }
            }
        }
        matches.sort_unstable_by_key(|(order, _)| *order);
        Ok(matches.into_iter().map(|(_, found)| found).collect())
    }
}

/// The files whose records these packs have, in the order of paths.
fn files_of(result: &StoredResult, packs: &BTreeSet<u32>) -> Result<Vec<RelativePath>, ManifestError> {
    let is_of = |row: &Row<'_>| row.record_place().is_some_and(|(pack, _)| packs.contains(&pack));
    if packs.is_empty() { Ok(Vec::new()) } else { result.manifest.rows().filter(is_of).map(|row| row.path()).collect() }
}

/// The names of one pack, for those who ask for one after the other.
#[derive(Default)]
struct OpenSegment {
    pack: Option<u32>,
    segment: Segment,
}

impl OpenSegment {
    /// Where the name of this number is defined.
    fn occurrences(&mut self, sources: &Sources, pack: u32, number: u32) -> Result<Vec<SymbolRef>, CacheError> {
        let name = sources.packs[pack as usize];
        if self.pack != Some(pack) {
            self.pack = None;
            sources.cache.segment(name, &mut self.segment)?;
            self.pack = Some(pack);
        }
        self.segment.load_rows().and_then(|()| self.segment.occurrences(number)).map_err(|error| CacheError::Pack(name, error))
    }
}

/// Packs that stay on the nodes: their names are looked through there.
struct Away {
    /// Of the master that commands the nodes.
    control: PathBuf,
    packs: HashMap<Digest, u32>,
    holders: Holders,
    found: Mutex<FoundAway>,
}

#[derive(Default)]
struct FoundAway {
    /// Of each name that was found, by its number.
    places: Vec<Vec<(u32, SymbolRef)>>,
    /// Packs that nobody could look through, and the nodes that have them.
    out_of_reach: BTreeSet<u32>,
    nodes: BTreeSet<String>,
    /// Packs that nobody is known to have.
    lost: BTreeSet<u32>,
}

impl Away {
    fn new(result: &StoredResult, numbers: Vec<u32>, packs: &[Digest]) -> Away {
        let packs = numbers.into_iter().map(|number| (packs[number as usize], number)).collect();
        Away { control: result.control().to_owned(), packs, holders: result.holders().clone(), found: Mutex::default() }
    }

    /// The best names of those packs.
    fn scan(&self, names_max: usize, search: &impl IndexSearch) -> Best {
        let mut best = Best::new(names_max);
        if self.packs.is_empty() {
            return best;
        }
        let (query, fuzzy) = search.wanted();
        let mut packs: Vec<Digest> = self.packs.keys().copied().collect();
        packs.sort_unstable();
        let wanted = NamesWanted { query: query.to_owned(), fuzzy, names_max: names_max as u64, packs };
        let answer = control::ask(&self.control, &Request::Search(wanted));
        let mut state = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(Some(Answer::Searched { found, lacking, nodes })) = answer else {
            // Nobody commands the nodes, or has time for it.
            self.packs.keys().for_each(|pack| self.lack(&mut state, *pack));
            return best;
        };
        lacking.iter().for_each(|pack| self.lack(&mut state, *pack));
        state.nodes.extend(nodes);
        for answer in found {
            best.dropped |= answer.dropped;
            for name in answer.names {
                let place = |(pack, entry, ordinal)| Some((*self.packs.get(&pack)?, SymbolRef { entry, ordinal }));
                state.places.push(name.places.into_iter().filter_map(place).collect());
                best.insert(name.key, &[Place::Away(state.places.len() as u32 - 1)]);
            }
        }
        best
    }

    fn places(&self, number: u32) -> Vec<(u32, SymbolRef)> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).places[number as usize].clone()
    }

    /// A pack that nobody looks through is out of reach where nodes have it, and lost otherwise.
    fn lack(&self, state: &mut FoundAway, pack: Digest) {
        let Some(&number) = self.packs.get(&pack) else { return };
        match self.holders.get(&pack) {
            Some(nodes) => {
                state.out_of_reach.insert(number);
                state.nodes.extend(nodes.iter().cloned());
            }
            None => drop(state.lost.insert(number)),
        }
    }

    /// The records of a pack are out of reach.
    fn miss(&self, pack: u32) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).out_of_reach.insert(pack);
    }

    fn nodes(&self) -> BTreeSet<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).nodes.clone()
    }

    fn out_of_reach(&self) -> BTreeSet<u32> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).out_of_reach.clone()
    }

    fn lost(&self) -> BTreeSet<u32> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).lost.clone()
    }
}

/// A symbol of a row, by the order of its name among the best.
#[derive(Clone, Copy)]
struct Placed {
    order: usize,
    row: u32,
    ordinal: u32,
    fit: Fit,
}

/// The rows that point to some records; the same content may lie at several paths.
struct Rows {
    rows: HashMap<(u32, u32), Vec<u32>>,
}

impl Rows {
    fn of(result: &StoredResult, records: impl Iterator<Item = (u32, u32)>) -> Rows {
        let mut rows: HashMap<(u32, u32), Vec<u32>> = records.map(|record| (record, Vec::new())).collect();
        for row in result.manifest.rows() {
            if let Some(at) = row.record_place().and_then(|record| rows.get_mut(&record)) {
                at.push(row.number());
            }
        }
        Rows { rows }
    }

    fn at(&self, pack: u32, entry: u32) -> &[u32] {
        self.rows.get(&(pack, entry)).map_or(&[], Vec::as_slice)
    }
}

/// A name and what it stands in: `Class.method`, `module::function`.
struct Qualified {
    containers: Vec<String>,
    name: String,
    insensitive: bool,
}

impl Qualified {
    fn parse(query: &str) -> Option<Qualified> {
        let mut containers: Vec<String> = parts(query).map(str::to_owned).collect();
        let name = containers.pop()?;
        let whole = !containers.is_empty() && !name.is_empty() && containers.iter().all(|part| !part.is_empty());
        whole.then(|| Qualified { containers, name, insensitive: !query.contains(char::is_uppercase) })
    }

    /// Is this where the symbol stands, or the innermost part of it? `module` is what its file is one of, from the outside in.
    fn is_container(&self, module: &[Cow<'_, str>], container: &str) -> bool {
        let same = |(a, b): (&str, &String)| a == b || (self.insensitive && a.to_lowercase() == b.to_lowercase());
        let there: Vec<&str> = module.iter().map(|part| &**part).chain(parts(container).filter(|part| !part.is_empty())).collect();
        there.len() >= self.containers.len() && there.iter().rev().copied().zip(self.containers.iter().rev()).all(same)
    }
}

/// Languages join what stands in one another with `.` or `::`; whoever asks may not know which.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split("::").flat_map(|part| part.split('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_by_its_innermost_parts() {
        let query = |text| Qualified::parse(text).unwrap();
        assert!(query("HashMap.put").is_container(&[], "java.util.HashMap"));
        assert!(query("a::B::f").is_container(&[], "x::a::B") && query("a.B.f").is_container(&[], "a::B"));
        assert!(query("hashmap.put").is_container(&[], "HashMap"), "without upper case it matches any");
        assert!(!query("Map.put").is_container(&[], "HashMap") && !query("util.Map.put").is_container(&[], "Map"));
        let decoder: [Cow<'_, str>; 2] = ["json".into(), "decoder".into()];
        assert!(query("decoder.scan").is_container(&decoder, "") && query("json::decoder::Scanner::scan").is_container(&decoder, "Scanner"));
        assert!(!query("json.scan").is_container(&decoder, "") && !query("json.Scanner.scan").is_container(&decoder, "Scanner"));
        assert!(["put", ".put", "a..b", "a.", "::", ""].iter().all(|text| Qualified::parse(text).is_none()));
    }
}
