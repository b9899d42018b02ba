//! Looking for symbols in the last result: names first, records only for what is shown.
//!
//! Each pack lists its symbol names in order. A query runs over those lists with a literal search; only when that finds
//! too little does a fuzzy match look at every name. An entry that no row of the result points to is of an older state and ignored.

use bitacora_core::{ids::Digest, paths::RelativePath, wire::record::Symbol};
use fleet_agent::{
    cache::CacheError,
    pack::{Pack, SymbolRef},
};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};
use regex::bytes::{Regex, RegexBuilder};

use crate::result::{ResultError, StoredResult};

/// Hits that are kept to be ordered; beyond it the longer names are dropped first.
const HITS_MAX: usize = 100_000;
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
    pub language: &'static str,
    pub symbol: Symbol,
    pub fit: Fit,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    fit: Fit,
    length: usize,
    name: String,
    pack: u32,
    at: SymbolRef,
}

/// The best `limit` symbols for a query, and whether there were more. Upper case in the query makes it case-sensitive.
pub fn symbols(result: &mut StoredResult, query: &str, limit: usize, threads: usize) -> Result<(Vec<Match>, bool), ResultError> {
    let packs = result.manifest.packs();
    let mut hits = scan(result, &packs, threads, &Literal::new(query))?;
    if hits.len() < limit && query.chars().count() >= FUZZY_CHARACTERS_MIN {
        let found: std::collections::HashSet<(u32, SymbolRef)> = hits.iter().map(|hit| (hit.pack, hit.at)).collect();
        let fuzzy = scan(result, &packs, threads, &Fuzzy::new(query))?;
        hits.extend(fuzzy.into_iter().filter(|hit| !found.contains(&(hit.pack, hit.at))));
    }
    place(result, hits, limit)
}

/// Puts hits in order, by path where names are the same, and reads the records of those that are shown.
fn place(result: &mut StoredResult, hits: Vec<Hit>, limit: usize) -> Result<(Vec<Match>, bool), ResultError> {
    let places = Places::of(result);
    let mut placed: Vec<(Fit, usize, String, u32, u32)> = Vec::with_capacity(hits.len());
    for hit in hits {
        placed.extend(places.rows(hit.pack, hit.at.entry).map(|row| (hit.fit, hit.length, hit.name.clone(), row, hit.at.ordinal)));
    }
    placed.sort_unstable();
    let more = placed.len() > limit;
    placed.truncate(limit);
    let mut matches = Vec::with_capacity(placed.len());
    for (fit, _, _, row, ordinal) in placed {
        let row = result.manifest.row(row).expect("it is one of the rows");
        let (path, language) = (row.path()?, row.language());
        let record = result.record(row.record().expect("only rows with a record were looked at"))?;
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
    fn search(&self, pack: &Pack<Vec<u8>>, number: u32, hits: &mut Vec<Hit>);
}

fn scan(result: &StoredResult, packs: &[Digest], threads: usize, search: &impl Search) -> Result<Vec<Hit>, CacheError> {
    let cache = result.cache();
    let share = |start: usize| -> Result<Vec<Hit>, CacheError> {
        let mut hits = Vec::new();
        for number in (start..packs.len()).step_by(threads.max(1)) {
            search.search(&cache.pack_unchecked(packs[number])?, number as u32, &mut hits);
            prune(&mut hits);
        }
        Ok(hits)
    };
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads.max(1)).map(|start| scope.spawn(move || share(start))).collect();
        let mut hits = Vec::new();
        for share in shares {
            hits.extend(share.join().expect("a search does not panic")?);
        }
        Ok(hits)
    })
}

fn prune(hits: &mut Vec<Hit>) {
    if hits.len() > 2 * HITS_MAX {
        hits.sort_unstable();
        hits.truncate(HITS_MAX);
    }
}

struct Literal {
    pattern: Regex,
    length: usize,
}

impl Literal {
    fn new(query: &str) -> Literal {
        let insensitive = !query.contains(char::is_uppercase);
        let pattern = RegexBuilder::new(&regex::escape(query)).case_insensitive(insensitive).build().expect("an escaped text is a pattern");
        Literal { pattern, length: query.len() }
    }
}

impl Search for Literal {
    fn search(&self, pack: &Pack<Vec<u8>>, number: u32, hits: &mut Vec<Hit>) {
        let names = pack.names();
        let (mut symbol, mut from) = (0, 0);
        while let Some(found) = self.pattern.find_at(names, from) {
            symbol = symbol_at(pack, symbol, found.start());
            let start = symbol.checked_sub(1).and_then(|before| pack.name_end(before)).unwrap_or(0);
            let Some(end) = pack.name_end(symbol).filter(|end| *end > from && *end <= names.len()) else { return };
            let (prefix, whole) = (found.start() == start, end - 1 - start == found.len());
            let fit = match (prefix, whole) {
                (true, true) => Fit::Exact,
                (true, false) => Fit::Prefix,
                (false, _) => Fit::Substring,
            };
            if let Some(at) = pack.symbol(symbol) {
                hits.push(Hit { fit, length: end - 1 - start, name: String::from_utf8_lossy(&names[start..end - 1]).into_owned(), pack: number, at });
            }
            from = end;
            if self.length == 0 && from >= names.len() {
                return;
            }
        }
    }
}

/// The first symbol from `from` on whose name ends behind `byte`.
fn symbol_at(pack: &Pack<Vec<u8>>, from: u32, byte: usize) -> u32 {
    let (mut low, mut high) = (from, pack.symbols());
    while low < high {
        let middle = low + (high - low) / 2;
        if pack.name_end(middle).is_some_and(|end| end <= byte) { low = middle + 1 } else { high = middle }
    }
    low
}

struct Fuzzy {
    pattern: Pattern,
    /// One bit for each letter or digit that a name must have.
    needs: u64,
}

impl Fuzzy {
    fn new(query: &str) -> Fuzzy {
        Fuzzy { pattern: Pattern::parse(query, CaseMatching::Smart, Normalization::Never), needs: letters(query.as_bytes()) }
    }
}

impl Search for Fuzzy {
    fn search(&self, pack: &Pack<Vec<u8>>, number: u32, hits: &mut Vec<Hit>) {
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut characters = Vec::new();
        let mut last: (&[u8], Option<u32>) = (b"", None);
        for (symbol, name) in (0..pack.symbols()).zip(pack.names().split(|byte| *byte == b'\n')) {
            if name != last.0 {
                let possible = letters(name) & self.needs == self.needs;
                let score = |name| self.pattern.score(Utf32Str::new(name, &mut characters), &mut matcher);
                last = (name, std::str::from_utf8(name).ok().filter(|_| possible).and_then(score));
            }
            if let (Some(score), Some(at)) = (last.1, pack.symbol(symbol)) {
                let name = String::from_utf8_lossy(name).into_owned();
                hits.push(Hit { fit: Fit::Fuzzy(std::cmp::Reverse(score)), length: name.len(), name, pack: number, at });
            }
        }
    }
}

/// The letters and digits of a text, whatever their case, as bits; everything else is no bit.
fn letters(text: &[u8]) -> u64 {
    text.iter().fold(0, |bits, byte| match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => bits | 1 << (letter - b'a'),
        digit @ b'0'..=b'9' => bits | 1 << (26 + digit - b'0'),
        _ => bits,
    })
}
