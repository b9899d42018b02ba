//! A result as one blob: a row per file in the order of paths, and an overview.
//!
//! Rows have a fixed width, so that a tree of a hundred thousand files is compared with its last result without
//! decoding it: a second run looks a path up by binary search and compares four numbers.
//!
//! ```text
//! magic 8 | fingerprint 32 | listed at u64 | rows u32 | packs u32 | paths u32 | details u32 | overview u32 | languages u32 |
//! rows x (path end u32, detail end u32, kind u8, language u8, zero u16, entry u32, pack u32,
//!         size u64, modified i64, changed i64, inode u64, content 32) | packs x 32 | paths | details | overview |
//! languages, each with '\n'
//! ```
//!
//! A row's language is a number among the names at the end. The first version had no such names, and none of their bytes.

use std::collections::{HashMap, HashSet};

use bitacora_core::{
    aggregate::{LanguageTotals, Totals},
    ids::Digest,
    paths::RelativePath,
    time::Time,
    wire::{
        record::{FileSummary, WorstFunction},
        task::{FailReason, FileResult, FileStat, RecordRef, SkipReason},
    },
};
use fleet_agent::analysis::languages::LANGUAGES;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"BITMAN02";
const HEAD_BYTES: usize = 8 + 32 + 8 + 6 * 4;
const MAGIC_1: &[u8; 8] = b"BITMAN01";
const HEAD_BYTES_1: usize = HEAD_BYTES - 4;
/// What a language's number meant in the first version, for ever.
const LANGUAGES_1: [&str; 20] = [
    "bash",
    "c",
    "c-sharp",
    "cpp",
    "css",
    "go",
    "html",
    "java",
    "javascript",
    "json",
    "kotlin",
    "lua",
    "php",
    "python",
    "ruby",
    "rust",
    "scala",
    "tsx",
    "typescript",
    "yaml",
];
const ROW_BYTES: usize = 4 + 4 + 4 + 4 + 4 + 8 * 4 + 32;
/// Rankings in the overview.
const WORST_MAX: usize = 20;
/// The language number of a name that this program does not know.
const NO_LANGUAGE: u8 = u8::MAX;

#[derive(Debug, thiserror::Error)]
#[error("the stored result is damaged: {0}")]
pub struct ManifestError(&'static str);

/// What a summary of the whole needs, without looking at the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    pub totals: Totals,
    pub languages: LanguageTotals,
    pub worst: Vec<Worst>,
    pub skipped: Vec<(RelativePath, SkipReason)>,
    pub failed: Vec<(RelativePath, FailReason)>,
    /// Files that are of no known language by their name.
    pub other_by_name: u64,
    /// Files whose first line had to tell, and did not.
    pub other_by_content: u64,
}

/// A function in the ranking of the whole tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worst {
    pub path: RelativePath,
    pub function: WorstFunction,
}

/// Writes a manifest; rows come in the order of paths.
pub struct ManifestWriter {
    fingerprint: Digest,
    listed_at: Time,
    rows: Vec<u8>,
    count: u32,
    packs: Vec<Digest>,
    /// The numbers of those: neighbours may have their records in many packs.
    pack_numbers: HashMap<Digest, u32>,
    paths: Vec<u8>,
    details: Vec<u8>,
    languages: Vec<&'static str>,
    overview: Overview,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Analysed = 0,
    Skipped = 1,
    Failed = 2,
}

impl ManifestWriter {
    pub fn new(fingerprint: Digest, listed_at: Time, other: u64) -> ManifestWriter {
        ManifestWriter {
            fingerprint,
            listed_at,
            rows: Vec::new(),
            count: 0,
            packs: Vec::new(),
            pack_numbers: HashMap::new(),
            paths: Vec::new(),
            details: Vec::new(),
            languages: Vec::new(),
            overview: Overview { other_by_name: other, ..Overview::default() },
        }
    }

    pub fn push(&mut self, path: &RelativePath, stat: Option<FileStat>, result: &FileResult) {
        self.overview.add(path, result);
        let (kind, language, content, record) = match result {
            FileResult::Analysed { content, language, record, summary } => {
                write_detail(&mut self.details, summary);
                (Kind::Analysed, self.language(language), *content, Some(*record))
            }
            FileResult::Skipped(reason) => {
                write_detail(&mut self.details, reason);
                (Kind::Skipped, NO_LANGUAGE, Digest::default(), None)
            }
            FileResult::Failed(reason) => {
                write_detail(&mut self.details, reason);
                (Kind::Failed, NO_LANGUAGE, Digest::default(), None)
            }
        };
        self.paths.extend_from_slice(path.as_bytes());
        let (entry, pack) = record.map_or((0, 0), |record| (record.entry, self.pack(record.pack)));
        let mut numbers = |number: u32| self.rows.extend_from_slice(&number.to_le_bytes());
        numbers(self.paths.len() as u32);
        numbers(self.details.len() as u32);
        numbers(u32::from(kind as u8) | u32::from(language) << 8);
        numbers(entry);
        numbers(pack);
        // A file without a stat is one that could not be read: it matches nothing the next time.
        let stat = stat.unwrap_or(FileStat { size: u64::MAX, ..FileStat::default() });
        for number in [stat.size, stat.modified_ns as u64, stat.changed_ns as u64, stat.inode] {
            self.rows.extend_from_slice(&number.to_le_bytes());
        }
        self.rows.extend_from_slice(&content.0);
        self.count += 1;
    }

    fn pack(&mut self, name: Digest) -> u32 {
        let packs = &mut self.packs;
        *self.pack_numbers.entry(name).or_insert_with(|| {
            packs.push(name);
            packs.len() as u32 - 1
        })
    }

    /// A node may say what it likes: only names that this program knows are kept.
    fn language(&mut self, name: &str) -> u8 {
        let number = self.languages.iter().position(|known| *known == name).or_else(|| {
            let known = LANGUAGES.iter().find(|language| language.name == name)?;
            self.languages.push(known.name);
            Some(self.languages.len() - 1)
        });
        number.map_or(NO_LANGUAGE, |number| number as u8)
    }

    pub fn finish(mut self) -> (Vec<u8>, Totals) {
        self.overview.rank();
        let languages: String = self.languages.iter().flat_map(|name| [name, "\n"]).collect();
        let overview = rmp_serde::to_vec(&self.overview).expect("an overview in memory can be written to memory");
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.rows.len() + self.packs.len() * 32 + self.paths.len() + self.details.len() + overview.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.fingerprint.0);
        bytes.extend_from_slice(&self.listed_at.0.to_le_bytes());
        for number in [self.count as usize, self.packs.len(), self.paths.len(), self.details.len(), overview.len(), languages.len()] {
            bytes.extend_from_slice(&(number as u32).to_le_bytes());
        }
        bytes.append(&mut self.rows);
        self.packs.iter().for_each(|pack| bytes.extend_from_slice(&pack.0));
        bytes.append(&mut self.paths);
        bytes.append(&mut self.details);
        bytes.extend_from_slice(&overview);
        bytes.extend_from_slice(languages.as_bytes());
        (bytes, self.overview.totals)
    }
}

fn write_detail(details: &mut Vec<u8>, detail: &impl Serialize) {
    rmp_serde::encode::write(details, detail).expect("a detail in memory can be written to memory");
}

impl Overview {
    fn add(&mut self, path: &RelativePath, result: &FileResult) {
        match result {
            FileResult::Analysed { language, summary, .. } => self.add_analysed(path, language, summary),
            FileResult::Skipped(reason) => self.add_skipped(path, *reason),
            FileResult::Failed(reason) => {
                self.totals.failed += 1;
                self.failed.push((path.clone(), reason.clone()));
            }
        }
    }

    fn add_analysed(&mut self, path: &RelativePath, language: &str, summary: &FileSummary) {
        self.totals.add_file(summary);
        match self.languages.get_mut(language) {
            Some(totals) => totals.add_file(summary),
            None => self.languages.entry(language.to_owned()).or_default().add_file(summary),
        }
        self.worst.extend(summary.worst.iter().map(|function| Worst { path: path.clone(), function: function.clone() }));
        if self.worst.len() > 64 * WORST_MAX {
            self.rank();
        }
    }

    fn add_skipped(&mut self, path: &RelativePath, reason: SkipReason) {
        if reason == SkipReason::UnknownLanguage {
            self.other_by_content += 1;
        } else {
            self.totals.skipped += 1;
            self.skipped.push((path.clone(), reason));
        }
    }

    /// Worst first; equal ones by place, so that the order says nothing about who finished when.
    fn rank(&mut self) {
        self.worst.sort_by(|a, b| {
            let key = |worst: &Worst| std::cmp::Reverse((worst.function.cyclomatic, worst.function.cognitive));
            key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path)).then(a.function.line.cmp(&b.function.line))
        });
        self.worst.truncate(WORST_MAX);
    }
}

/// A manifest in memory, its frame checked.
#[derive(Debug)]
pub struct Manifest {
    bytes: Vec<u8>,
    rows: u32,
    rows_at: usize,
    packs_at: usize,
    paths_at: usize,
    details_at: usize,
    overview_at: usize,
    overview_end: usize,
    languages: Vec<String>,
}

/// One file of a result.
#[derive(Clone, Copy, Debug)]
pub struct Row<'m> {
    manifest: &'m Manifest,
    number: u32,
}

impl Manifest {
    pub fn open(bytes: Vec<u8>) -> Result<Manifest, ManifestError> {
        let number = |place: usize| read_u32(&bytes, 48 + 4 * place).ok_or(ManifestError("its head is cut"));
        let first = bytes.starts_with(MAGIC_1);
        if !first && !bytes.starts_with(MAGIC) {
            return Err(ManifestError("it does not begin like one"));
        }
        let rows = number(0)?;
        let rows_at = if first { HEAD_BYTES_1 } else { HEAD_BYTES };
        let packs_at = rows_at + rows as usize * ROW_BYTES;
        let paths_at = packs_at + number(1)? as usize * 32;
        let details_at = paths_at + number(2)? as usize;
        let overview_at = details_at + number(3)? as usize;
        let overview_end = overview_at + number(4)? as usize;
        if overview_end + if first { 0 } else { number(5)? as usize } != bytes.len() {
            return Err(ManifestError("its length does not fit its head"));
        }
        let names = || std::str::from_utf8(&bytes[overview_end..]).map(|names| names.lines().map(str::to_owned).collect());
        let languages = if first { Ok(LANGUAGES_1.map(str::to_owned).to_vec()) } else { names() };
        let languages = languages.map_err(|_| ManifestError("its languages have no names"))?;
        Ok(Manifest { rows, rows_at, packs_at, paths_at, details_at, overview_at, overview_end, languages, bytes })
    }

    pub fn fingerprint(&self) -> Digest {
        Digest(self.bytes[8..40].try_into().expect("the frame was checked"))
    }

    pub fn listed_at(&self) -> Time {
        Time(u64::from_le_bytes(self.bytes[40..48].try_into().expect("the frame was checked")))
    }

    pub fn overview(&self) -> Result<Overview, ManifestError> {
        rmp_serde::from_slice(&self.bytes[self.overview_at..self.overview_end]).map_err(|_| ManifestError("its overview cannot be read"))
    }

    /// The overview of a part of the files. What is of no known language is not counted: its rows do not exist.
    pub fn overview_of(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<Overview, ManifestError> {
        let mut overview = Overview::default();
        for row in self.rows().filter(|row| wanted(row.path_bytes())) {
            overview.add(&row.path()?, &row.result()?);
        }
        overview.rank();
        Ok(overview)
    }

    /// Files whose content an earlier result does not have at their path.
    pub fn changed_since(&self, earlier: Option<&Manifest>) -> HashSet<Vec<u8>> {
        let same = |row: &Row<'_>| {
            let before = earlier.and_then(|earlier| earlier.find(row.path_bytes(), row.number()));
            before.is_some_and(|before| before.is_analysed() && row.is_analysed() && before.content() == row.content())
        };
        self.rows().filter(|row| !same(row)).map(|row| row.path_bytes().to_vec()).collect()
    }

    pub fn len(&self) -> u32 {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows).map(|number| Row { manifest: self, number })
    }

    pub fn row(&self, number: u32) -> Option<Row<'_>> {
        (number < self.rows).then_some(Row { manifest: self, number })
    }

    /// The row of a path, looked for at `hint` first: both sides are in the same order.
    pub fn find(&self, path: &[u8], hint: u32) -> Option<Row<'_>> {
        if let Some(row) = self.row(hint).filter(|row| row.path_bytes() == path) {
            return Some(row);
        }
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let row = Row { manifest: self, number: middle };
            match row.path_bytes().cmp(path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(row),
            }
        }
        None
    }

    /// Every pack that holds a record of this result.
    pub fn packs(&self) -> Vec<Digest> {
        (0..(self.paths_at - self.packs_at) / 32).filter_map(|number| self.pack(number as u32)).collect()
    }

    fn pack(&self, number: u32) -> Option<Digest> {
        let at = self.packs_at + number as usize * 32;
        self.bytes.get(at..at + 32).filter(|_| at + 32 <= self.paths_at)?.try_into().ok().map(Digest)
    }
}

impl<'m> Row<'m> {
    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn path_bytes(&self) -> &'m [u8] {
        self.section(self.manifest.paths_at, 0, self.manifest.details_at)
    }

    pub fn path(&self) -> Result<RelativePath, ManifestError> {
        RelativePath::new(self.path_bytes().to_vec()).map_err(|_| ManifestError("a path in it leaves the project"))
    }

    pub fn stat(&self) -> FileStat {
        let number = |place: usize| u64::from_le_bytes(self.bytes()[20 + 8 * place..28 + 8 * place].try_into().expect("a row is this long"));
        FileStat { size: number(0), modified_ns: number(1) as i64, changed_ns: number(2) as i64, inode: number(3) }
    }

    pub fn language(&self) -> &'m str {
        self.manifest.languages.get(usize::from(self.bytes()[9])).map_or("", String::as_str)
    }

    /// The hash of the file's bytes; zero where it was not analysed.
    pub fn content(&self) -> Digest {
        Digest(self.bytes()[52..84].try_into().expect("a row is this long"))
    }

    pub fn is_analysed(&self) -> bool {
        self.bytes()[8] == Kind::Analysed as u8
    }

    pub fn record(&self) -> Option<RecordRef> {
        let pack = self.manifest.pack(self.number_at(16)).filter(|_| self.is_analysed())?;
        Some(RecordRef { pack, entry: self.number_at(12) })
    }

    /// The record's pack, by its place in [`Manifest::packs`], and its entry there.
    pub fn record_place(&self) -> Option<(u32, u32)> {
        self.is_analysed().then(|| (self.number_at(16), self.number_at(12)))
    }

    pub fn result(&self) -> Result<FileResult, ManifestError> {
        let detail = self.section(self.manifest.details_at, 4, self.manifest.overview_at);
        let unreadable = |_| ManifestError("a detail in it cannot be read");
        match self.bytes()[8] {
            0 => Ok(FileResult::Analysed {
                content: self.content(),
                language: self.language().to_owned(),
                record: self.record().ok_or(ManifestError("a row in it names no pack"))?,
                summary: rmp_serde::from_slice(detail).map_err(unreadable)?,
            }),
            1 => Ok(FileResult::Skipped(rmp_serde::from_slice(detail).map_err(unreadable)?)),
            2 => Ok(FileResult::Failed(rmp_serde::from_slice(detail).map_err(unreadable)?)),
            _ => Err(ManifestError("a row in it is of no known kind")),
        }
    }

    /// The part of a section that ends where this row says, and begins where the row before says.
    fn section(&self, base: usize, place: usize, limit: usize) -> &'m [u8] {
        let start = match self.number {
            0 => 0,
            number => Row { manifest: self.manifest, number: number - 1 }.number_at(place),
        };
        let (start, end) = (base + start as usize, base + self.number_at(place) as usize);
        if start <= end && end <= limit { &self.manifest.bytes[start..end] } else { &[] }
    }

    fn number_at(&self, place: usize) -> u32 {
        read_u32(self.bytes(), place).expect("a row is this long")
    }

    fn bytes(&self) -> &'m [u8] {
        let at = self.manifest.rows_at + self.number as usize * ROW_BYTES;
        &self.manifest.bytes[at..at + ROW_BYTES]
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = ManifestWriter::new(Digest([3; 32]), Time(77), 2);
        let path = |text: &str| RelativePath::new(text.into()).unwrap();
        let stat = FileStat { size: 5, modified_ns: -1, changed_ns: 2, inode: 9 };
        let record = RecordRef { pack: Digest([4; 32]), entry: 6 };
        let summary = FileSummary { bytes: 5, symbols: 1, ..FileSummary::default() };
        writer.push(&path("a.c"), Some(stat), &FileResult::Analysed { content: Digest([1; 32]), language: "c".into(), record, summary });
        writer.push(&path("b.png"), Some(stat), &FileResult::Skipped(SkipReason::Binary));
        writer.push(&path("c.c"), None, &FileResult::Failed(FailReason::Vanished));
        writer.finish().0
    }

    #[test]
    fn rows_survive() {
        let manifest = Manifest::open(sample()).unwrap();
        assert_eq!((manifest.len(), manifest.listed_at(), manifest.fingerprint()), (3, Time(77), Digest([3; 32])));
        let row = manifest.find(b"a.c", 7).unwrap();
        assert_eq!(row.stat(), FileStat { size: 5, modified_ns: -1, changed_ns: 2, inode: 9 });
        assert_eq!(row.record(), Some(RecordRef { pack: Digest([4; 32]), entry: 6 }));
        assert!(matches!(row.result().unwrap(), FileResult::Analysed { language, .. } if language == "c"));
        assert_eq!(manifest.find(b"b.png", 1).unwrap().result().unwrap(), FileResult::Skipped(SkipReason::Binary));
        assert_eq!(manifest.find(b"c.c", 0).unwrap().result().unwrap(), FileResult::Failed(FailReason::Vanished));
        assert!(manifest.find(b"d", 0).is_none());
        let overview = manifest.overview().unwrap();
        assert_eq!((overview.totals.files, overview.totals.skipped, overview.totals.failed, overview.other_by_name), (1, 1, 1, 2));
    }

    /// As the first version wrote it: no names, and the number of the compiled table.
    fn sample_1() -> Vec<u8> {
        let mut bytes = sample();
        bytes[..8].copy_from_slice(MAGIC_1);
        let names = read_u32(&bytes, HEAD_BYTES_1).unwrap() as usize;
        bytes.truncate(bytes.len() - names);
        bytes.drain(HEAD_BYTES_1..HEAD_BYTES);
        bytes[HEAD_BYTES_1 + 9] = 1;
        bytes
    }

    #[test]
    fn the_first_version_is_read_for_ever() {
        let (first, second) = (Manifest::open(sample_1()).unwrap(), Manifest::open(sample()).unwrap());
        assert_eq!((first.row(0).unwrap().language(), second.row(0).unwrap().language()), ("c", "c"));
        assert!(first.rows().zip(second.rows()).all(|(a, b)| a.result().unwrap() == b.result().unwrap()));
        assert_eq!(first.overview().unwrap(), second.overview().unwrap());
    }

    #[test]
    fn a_language_is_kept_by_its_name() {
        let mut bytes = sample();
        let end = bytes.len();
        assert_eq!(&bytes[end - 2..], b"c\n");
        bytes[end - 2] = b'd';
        assert_eq!(Manifest::open(bytes).unwrap().row(0).unwrap().language(), "d", "whatever number this program gives to it");
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        for whole in [sample(), sample_1()] {
            for length in 0..whole.len() {
                assert!(Manifest::open(whole[..length].to_vec()).is_err());
            }
            for place in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[place] ^= 0x55;
                if let Ok(manifest) = Manifest::open(damaged) {
                    manifest.rows().for_each(|row| drop((row.path(), row.result(), row.record(), row.language())));
                    let _ = manifest.overview();
                }
            }
        }
    }
}
