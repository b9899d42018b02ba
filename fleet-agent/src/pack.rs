//! The records of one spark in one blob, with an index by content and a sorted list of their symbols' names.
//!
//! ```text
//! magic 8 | fingerprint 32 | records (MessagePack, LZ4 block behind its length) ...
//! | distinct symbol names in order, each with '\n' ... | names x (name end u32, occurrence end u32, letters u64)
//! | occurrences x (entry u32, ordinal u32) | index: entries x (content 32, language 16, offset u32, length u32, check 8)
//! | entries u32, names u32, occurrences u32, names offset u32, rows offset u32, occurrences offset u32, index offset u32, magic 8
//! ```
//!
//! All numbers are little-endian. A reader checks every offset: a damaged pack is an error and never a panic. The names
//! can be searched without reading the records: [`Segment`], [`NameStream`]. One record can be read without the others:
//! its check is the beginning of the hash of its content, language and bytes.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bitacora_core::{ids::Digest, wire::record::FileRecord};

const MAGIC: &[u8; 8] = b"BITPACK3";
const HEAD_BYTES: usize = 8 + 32;
const LANGUAGE_BYTES: usize = 16;
const KEY_BYTES: usize = 32 + LANGUAGE_BYTES;
const CHECK_BYTES: usize = 8;
const INDEX_ROW_BYTES: usize = KEY_BYTES + 8 + CHECK_BYTES;
const NAME_ROW_BYTES: usize = 16;
const OCCURRENCE_BYTES: usize = 8;
const TRAILER_BYTES: usize = 7 * 4 + 8;
/// A record larger than this once unpacked is damage: no file may be analysed that comes to as much.
const RECORD_BYTES_MAX: usize = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("the pack is damaged")]
    Damaged,
    #[error("the pack has no entry {0}")]
    NoEntry(u32),
    #[error("a record in the pack cannot be read: {0}")]
    Record(String),
    #[error("the pack cannot be read")]
    Io(#[from] io::Error),
}

/// Collects records into a pack.
pub struct PackWriter {
    bytes: Vec<u8>,
    record: Vec<u8>,
    index: Vec<u8>,
    entries: u32,
    symbols: BTreeMap<String, Vec<SymbolRef>>,
}

impl PackWriter {
    pub fn new(fingerprint: Digest) -> PackWriter {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&fingerprint.0);
        PackWriter { bytes, record: Vec::new(), index: Vec::new(), entries: 0, symbols: BTreeMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Answers with the record's number in the pack.
    pub fn add(&mut self, content: Digest, record: &FileRecord) -> u32 {
        self.record.clear();
        rmp_serde::encode::write(&mut self.record, record).expect("a record in memory can be written to memory");
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&lz4_flex::block::compress_prepend_size(&self.record));
        let mut language = [0; LANGUAGE_BYTES];
        language[..record.language.len()].copy_from_slice(record.language.as_bytes());
        let key = self.index.len();
        self.index.extend_from_slice(&content.0);
        self.index.extend_from_slice(&language);
        let check = check(&self.index[key..], &self.bytes[offset as usize..]);
        self.index.extend_from_slice(&offset.to_le_bytes());
        self.index.extend_from_slice(&(self.bytes.len() as u32 - offset).to_le_bytes());
        self.index.extend_from_slice(&check);
        let entry = self.entries;
        self.entries += 1;
        for (ordinal, symbol) in (0..).zip(&record.symbols) {
            let at = SymbolRef { entry, ordinal };
            match self.symbols.get_mut(&symbol.name) {
                Some(places) => places.push(at),
                None => drop(self.symbols.insert(symbol.name.clone(), vec![at])),
            }
        }
        entry
    }

    pub fn finish(mut self) -> Vec<u8> {
        let names_at = self.bytes.len() as u32;
        let (mut rows, mut occurrences) = (Vec::new(), Vec::new());
        for (name, places) in &self.symbols {
            self.bytes.extend(name.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
            self.bytes.push(b'\n');
            for place in places {
                occurrences.extend_from_slice(&place.entry.to_le_bytes());
                occurrences.extend_from_slice(&place.ordinal.to_le_bytes());
            }
            rows.extend_from_slice(&(self.bytes.len() as u32 - names_at).to_le_bytes());
            rows.extend_from_slice(&((occurrences.len() / OCCURRENCE_BYTES) as u32).to_le_bytes());
            rows.extend_from_slice(&letters(name.as_bytes()).to_le_bytes());
        }
        let rows_at = self.bytes.len();
        self.bytes.append(&mut rows);
        let occurrences_at = self.bytes.len();
        self.bytes.append(&mut occurrences);
        let index_at = self.bytes.len();
        self.bytes.append(&mut self.index);
        let counts = [self.entries, self.symbols.len() as u32, ((index_at - occurrences_at) / OCCURRENCE_BYTES) as u32];
        let offsets = [names_at, rows_at as u32, occurrences_at as u32, index_at as u32];
        counts.iter().chain(&offsets).for_each(|number| self.bytes.extend_from_slice(&number.to_le_bytes()));
        self.bytes.extend_from_slice(MAGIC);
        self.bytes
    }
}

/// The letters and digits of a text, whatever their case, as bits; everything else is no bit. A name can match a query
/// fuzzily only if it has all the query's bits.
pub fn letters(text: &[u8]) -> u64 {
    text.iter().fold(0, |bits, byte| match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => bits | 1 << (letter - b'a'),
        digit @ b'0'..=b'9' => bits | 1 << (26 + digit - b'0'),
        _ => bits,
    })
}

/// Where the parts of a pack lie, checked against one another and the pack's length.
#[derive(Clone, Copy, Debug)]
struct Layout {
    entries: u32,
    names: u32,
    symbols: u32,
    names_at: usize,
    rows_at: usize,
    occurrences_at: usize,
    index_at: usize,
}

impl Layout {
    fn read(trailer: &[u8], length: usize) -> Option<Layout> {
        let number = |place: usize| read_u32(trailer, 4 * place);
        let (entries, names, symbols) = (number(0)?, number(1)?, number(2)?);
        let place = |place: usize| number(place).map(|offset| offset as usize);
        let layout = Layout { entries, names, symbols, names_at: place(3)?, rows_at: place(4)?, occurrences_at: place(5)?, index_at: place(6)? };
        let ordered = HEAD_BYTES <= layout.names_at && layout.names_at <= layout.rows_at;
        let rows = layout.rows_at + names as usize * NAME_ROW_BYTES == layout.occurrences_at;
        let occurrences = layout.occurrences_at + symbols as usize * OCCURRENCE_BYTES == layout.index_at;
        let index = layout.index_at + entries as usize * INDEX_ROW_BYTES + TRAILER_BYTES == length;
        (trailer.ends_with(MAGIC) && ordered && rows && occurrences && index).then_some(layout)
    }
}

/// A whole pack in memory.
pub struct Pack<B> {
    bytes: B,
    layout: Layout,
}

/// A row of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    pub content: Digest,
    pub language: String,
    pub entry: u32,
}

impl IndexRow {
    fn read(entry: u32, row: &[u8]) -> IndexRow {
        let language = row[32..32 + LANGUAGE_BYTES].split(|byte| *byte == 0).next().unwrap_or_default();
        let content = Digest(row[..32].try_into().expect("32 bytes"));
        IndexRow { content, language: String::from_utf8_lossy(language).into_owned(), entry }
    }
}

/// The fingerprint and index of a pack, and nothing else of it. A hint likewise.
pub fn read_index(path: &Path) -> Result<(Digest, Vec<IndexRow>), PackError> {
    let mut file = File::open(path)?;
    let layout = read_layout(&file)?;
    let mut fingerprint = [0; 32];
    file.read_exact_at(&mut fingerprint, MAGIC.len() as u64)?;
    let mut rows = Vec::new();
    read_part(&mut file, layout.index_at, layout.index_at + layout.entries as usize * INDEX_ROW_BYTES, &mut rows)?;
    let rows = (0..).zip(rows.chunks_exact(INDEX_ROW_BYTES)).map(|(entry, row)| IndexRow::read(entry, row));
    Ok((Digest(fingerprint), rows.collect()))
}

/// One record, and nothing else of the pack, checked.
pub fn read_record(path: &Path, entry: u32) -> Result<FileRecord, PackError> {
    let file = File::open(path)?;
    let layout = read_layout(&file)?;
    if entry >= layout.entries {
        return Err(PackError::NoEntry(entry));
    }
    let mut row = [0; INDEX_ROW_BYTES];
    file.read_exact_at(&mut row, (layout.index_at + entry as usize * INDEX_ROW_BYTES) as u64)?;
    let extent = extent(&row);
    if extent.start < HEAD_BYTES || extent.end > layout.names_at {
        return Err(PackError::Damaged);
    }
    let mut packed = vec![0; extent.len()];
    file.read_exact_at(&mut packed, extent.start as u64)?;
    if check(&row[..KEY_BYTES], &packed) != row[INDEX_ROW_BYTES - CHECK_BYTES..] {
        return Err(PackError::Damaged);
    }
    unpack(&packed)
}

/// Where in the pack the record of an index row lies, as the row says.
fn extent(row: &[u8]) -> Range<usize> {
    let number = |at| read_u32(row, at).expect("a row is this long") as usize;
    let start = number(KEY_BYTES);
    start..start + number(KEY_BYTES + 4)
}

fn check(key: &[u8], packed: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = blake3::Hasher::new().update(key).update(packed).finalize();
    *hash.as_bytes().first_chunk().expect("a hash is longer")
}

fn unpack(packed: &[u8]) -> Result<FileRecord, PackError> {
    if read_u32(packed, 0).is_none_or(|bytes| bytes as usize > RECORD_BYTES_MAX.min(packed.len().saturating_mul(256))) {
        return Err(PackError::Damaged);
    }
    let bytes = lz4_flex::block::decompress_size_prepended(packed).map_err(|error| PackError::Record(error.to_string()))?;
    rmp_serde::from_slice(&bytes).map_err(|error| PackError::Record(error.to_string()))
}

/// How much the list of a pack's names comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesExtent {
    pub names: u32,
    pub bytes: u64,
}

pub fn names_extent(path: &Path) -> Result<NamesExtent, PackError> {
    let layout = read_layout(&File::open(path)?)?;
    Ok(NamesExtent { names: layout.names, bytes: (layout.rows_at - layout.names_at) as u64 })
}

fn read_layout(file: &File) -> Result<Layout, PackError> {
    let length = file.metadata()?.len() as usize;
    let at = length.checked_sub(TRAILER_BYTES).ok_or(PackError::Damaged)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, at as u64)?;
    Layout::read(&trailer, length).ok_or(PackError::Damaged)
}

/// A symbol in a pack: a record, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolRef {
    pub entry: u32,
    pub ordinal: u32,
}

impl SymbolRef {
    fn read(bytes: &[u8]) -> Option<SymbolRef> {
        Some(SymbolRef { entry: read_u32(bytes, 0)?, ordinal: read_u32(bytes, 4)? })
    }
}

impl<B: AsRef<[u8]>> Pack<B> {
    pub fn open(bytes: B) -> Result<Pack<B>, PackError> {
        let all = bytes.as_ref();
        let trailer = all.len().checked_sub(TRAILER_BYTES).filter(|_| all.starts_with(MAGIC)).ok_or(PackError::Damaged)?;
        let layout = Layout::read(&all[trailer..], all.len()).ok_or(PackError::Damaged)?;
        Ok(Pack { bytes, layout })
    }

    pub fn fingerprint(&self) -> Digest {
        Digest(self.all()[8..HEAD_BYTES].try_into().expect("the layout was checked"))
    }

    pub fn entries(&self) -> u32 {
        self.layout.entries
    }

    pub fn symbols(&self) -> u32 {
        self.layout.symbols
    }

    pub fn index(&self) -> impl Iterator<Item = IndexRow> + '_ {
        (0..self.layout.entries).map(|entry| {
            let row = self.index_row(entry).expect("the layout was checked");
            IndexRow::read(entry, row)
        })
    }

    pub fn record(&self, entry: u32) -> Result<FileRecord, PackError> {
        let row = self.index_row(entry).ok_or(PackError::NoEntry(entry))?;
        unpack(self.all().get(extent(row)).ok_or(PackError::Damaged)?)
    }

    fn index_row(&self, entry: u32) -> Option<&[u8]> {
        let at = self.layout.index_at + (entry as usize) * INDEX_ROW_BYTES;
        (entry < self.layout.entries).then(|| self.all().get(at..at + INDEX_ROW_BYTES)).flatten()
    }

    fn all(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// The names of one pack after another, in buffers that are reused. What is found here is a hint: the record that it
/// leads to is read from the whole pack, checked.
#[derive(Default)]
pub struct Segment {
    file: Option<(File, Layout)>,
    names: Vec<u8>,
    rows: Vec<u8>,
}

impl Segment {
    /// Reads the names of a pack, and nothing else of it.
    pub fn open(&mut self, path: &Path) -> Result<(), PackError> {
        self.rows.clear();
        self.names.clear();
        self.file = None;
        let mut file = File::open(path)?;
        let layout = read_layout(&file)?;
        read_part(&mut file, layout.names_at, layout.rows_at, &mut self.names)?;
        self.file = Some((file, layout));
        Ok(())
    }

    /// Distinct names in order, each followed by a line feed.
    pub fn names(&self) -> &[u8] {
        &self.names
    }

    pub fn count(&self) -> u32 {
        self.file.as_ref().map_or(0, |(_, layout)| layout.names)
    }

    /// Reads what is known of each name; needed before the methods below.
    pub fn load_rows(&mut self) -> Result<(), PackError> {
        match &mut self.file {
            Some((file, layout)) if self.rows.is_empty() => Ok(read_part(file, layout.rows_at, layout.occurrences_at, &mut self.rows)?),
            _ => Ok(()),
        }
    }

    /// A name without its line feed; empty where the pack is damaged.
    pub fn name(&self, number: u32) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.name_end(before));
        self.names.get(start..self.name_end(number).saturating_sub(1)).unwrap_or_default()
    }

    fn name_end(&self, number: u32) -> usize {
        self.row_number(number, 0) as usize
    }

    pub fn letters(&self, number: u32) -> u64 {
        u64::from(self.row_number(number, 8)) | u64::from(self.row_number(number, 12)) << 32
    }

    /// Where the name is defined.
    pub fn occurrences(&self, number: u32) -> Result<Vec<SymbolRef>, PackError> {
        let Some((file, layout)) = &self.file else { return Ok(Vec::new()) };
        let start = number.checked_sub(1).map_or(0, |before| self.row_number(before, 4));
        let end = self.row_number(number, 4);
        if start > end || end > layout.symbols {
            return Err(PackError::Damaged);
        }
        let mut bytes = vec![0; (end - start) as usize * OCCURRENCE_BYTES];
        file.read_exact_at(&mut bytes, (layout.occurrences_at + start as usize * OCCURRENCE_BYTES) as u64)?;
        Ok(bytes.chunks_exact(OCCURRENCE_BYTES).filter_map(SymbolRef::read).collect())
    }

    fn row_number(&self, number: u32, place: usize) -> u32 {
        read_u32(&self.rows, number as usize * NAME_ROW_BYTES + place).unwrap_or(0)
    }
}

/// A pack's names in order and where they are defined, read piece by piece: for going through many packs at once.
pub struct NameStream {
    path: PathBuf,
    names: Window,
    rows: Window,
    occurrences: Window,
    /// Where the name before ended.
    ends: (u32, u32),
    name: Vec<u8>,
    letters: u64,
    places: Vec<SymbolRef>,
}

/// A part of a file and a piece of it in memory.
struct Window {
    /// What of the part is not in memory yet.
    rest: Range<usize>,
    piece: Vec<u8>,
    /// How much of the piece was taken.
    taken: usize,
    piece_bytes: usize,
}

impl Window {
    fn new(part: Range<usize>, piece_bytes: usize) -> Window {
        Window { rest: part, piece: Vec::new(), taken: 0, piece_bytes }
    }

    fn take(&mut self, path: &Path, bytes: usize) -> Result<&[u8], PackError> {
        if self.piece.len() - self.taken < bytes {
            self.piece.drain(..self.taken);
            let (kept, more) = (self.piece.len(), self.rest.len().min(self.piece_bytes.max(bytes)));
            self.taken = 0;
            self.piece.resize(kept + more, 0);
            // Opened for each piece: a large result has more packs than a process may have files open.
            File::open(path)?.read_exact_at(&mut self.piece[kept..], self.rest.start as u64)?;
            self.rest.start += more;
        }
        let taken = self.piece.get(self.taken..self.taken + bytes).ok_or(PackError::Damaged)?;
        self.taken += bytes;
        Ok(taken)
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty() && self.taken == self.piece.len()
    }
}

impl NameStream {
    /// Three pieces of `piece_bytes` are kept in memory.
    pub fn open(path: PathBuf, piece_bytes: usize) -> Result<NameStream, PackError> {
        let layout = read_layout(&File::open(&path)?)?;
        let window = |from, to| Window::new(from..to, piece_bytes);
        let (names, rows) = (window(layout.names_at, layout.rows_at), window(layout.rows_at, layout.occurrences_at));
        let occurrences = window(layout.occurrences_at, layout.index_at);
        Ok(NameStream { path, names, rows, occurrences, ends: (0, 0), name: Vec::new(), letters: 0, places: Vec::new() })
    }

    /// Goes to the next name, the first one at first; false at the end.
    pub fn advance(&mut self) -> Result<bool, PackError> {
        if self.rows.is_at_end() {
            return if self.names.is_at_end() && self.occurrences.is_at_end() { Ok(false) } else { Err(PackError::Damaged) };
        }
        let row = self.rows.take(&self.path, NAME_ROW_BYTES)?;
        let number = |place| read_u32(row, place).expect("a row is this long");
        let ends = (number(0), number(4));
        self.letters = u64::from(number(8)) | u64::from(number(12)) << 32;
        let (name, places) = (ends.0.checked_sub(self.ends.0), ends.1.checked_sub(self.ends.1));
        let (Some(name), Some(places)) = (name, places) else { return Err(PackError::Damaged) };
        self.ends = ends;
        let name = self.names.take(&self.path, name as usize)?.split_last().filter(|(last, _)| **last == b'\n').ok_or(PackError::Damaged)?.1;
        self.name.clear();
        self.name.extend_from_slice(name);
        self.places.clear();
        let places = self.occurrences.take(&self.path, places as usize * OCCURRENCE_BYTES)?;
        self.places.extend(places.chunks_exact(OCCURRENCE_BYTES).filter_map(SymbolRef::read));
        Ok(true)
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn letters(&self) -> u64 {
        self.letters
    }

    pub fn occurrences(&self) -> &[SymbolRef] {
        &self.places
    }
}

fn read_part(file: &mut File, from: usize, to: usize, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    file.seek(SeekFrom::Start(from as u64))?;
    file.take((to - from) as u64).read_to_end(into)?;
    Ok(())
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use bitacora_core::wire::record::{Symbol, SymbolKind};

    use super::*;

    fn record(names: &[&str]) -> FileRecord {
        let symbol = |name: &&str| Symbol {
            name: (*name).into(),
            kind: SymbolKind::Function,
            line: 1,
            column: 1,
            end_line: 2,
            container: String::new(),
            visibility: String::new(),
            signature: String::new(),
        };
        FileRecord { language: "c".into(), symbols: names.iter().map(symbol).collect(), ..FileRecord::default() }
    }

    fn pack() -> Vec<u8> {
        let mut writer = PackWriter::new(Digest([9; 32]));
        writer.add(Digest([1; 32]), &record(&["zeta", "alpha"]));
        writer.add(Digest([2; 32]), &record(&["alpha"]));
        writer.finish()
    }

    fn segment(bytes: &[u8]) -> Result<Segment, PackError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        std::fs::write(&path, bytes).unwrap();
        let mut segment = Segment::default();
        segment.open(&path)?;
        segment.load_rows()?;
        Ok(segment)
    }

    #[test]
    fn what_is_packed_can_be_read() {
        let pack = Pack::open(pack()).unwrap();
        assert_eq!(pack.fingerprint(), Digest([9; 32]));
        assert_eq!(pack.record(0).unwrap(), record(&["zeta", "alpha"]));
        assert!(matches!(pack.record(2), Err(PackError::NoEntry(2))));
        assert_eq!(pack.index().nth(1), Some(IndexRow { content: Digest([2; 32]), language: "c".into(), entry: 1 }));
        assert_eq!((pack.entries(), pack.symbols()), (2, 3));
    }

    #[test]
    fn names_are_searched_without_the_records() {
        let segment = segment(&pack()).unwrap();
        assert_eq!((segment.names(), segment.count()), (b"alpha\nzeta\n".as_slice(), 2));
        assert_eq!((segment.name(0), segment.name(1)), (b"alpha".as_slice(), b"zeta".as_slice()));
        assert_eq!(segment.letters(1), letters(b"ATEZ"));
        assert_eq!(segment.occurrences(0).unwrap(), [SymbolRef { entry: 0, ordinal: 1 }, SymbolRef { entry: 1, ordinal: 0 }]);
    }

    #[test]
    fn names_are_read_piece_by_piece() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        std::fs::write(&path, pack()).unwrap();
        for piece_bytes in [1, 7, 1000] {
            let mut stream = NameStream::open(path.clone(), piece_bytes).unwrap();
            let mut read = Vec::new();
            while stream.advance().unwrap() {
                read.push((stream.name().to_vec(), stream.letters(), stream.occurrences().to_vec()));
            }
            let at = |entry, ordinal| SymbolRef { entry, ordinal };
            let (alpha, zeta) = (letters(b"alpha"), letters(b"zeta"));
            assert_eq!(read, [(b"alpha".to_vec(), alpha, vec![at(0, 1), at(1, 0)]), (b"zeta".to_vec(), zeta, vec![at(0, 0)])]);
        }
    }

    #[test]
    fn one_record_is_read_alone_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        let whole = pack();
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_record(&path, 1).unwrap(), record(&["alpha"]));
        assert!(matches!(read_record(&path, 2), Err(PackError::NoEntry(2))));
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            std::fs::write(&path, &damaged).unwrap();
            // Whatever lies outside of the record and its row is none of its business.
            assert!(read_record(&path, 0).is_ok_and(|read| read == record(&["zeta", "alpha"])) || read_record(&path, 0).is_err(), "byte {place}");
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let whole = pack();
        let folder = tempfile::tempdir().unwrap();
        for length in 0..whole.len() {
            assert!(Pack::open(&whole[..length]).is_err());
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            let path = folder.path().join("pack");
            std::fs::write(&path, &damaged).unwrap();
            if let Ok(mut stream) = NameStream::open(path, 8) {
                while stream.advance().is_ok_and(|more| more) {}
            }
            if let Ok(segment) = segment(&damaged) {
                let _ = (segment.name(0), segment.occurrences(0), segment.occurrences(1), segment.name(7));
            }
            if let Ok(pack) = Pack::open(damaged) {
                let _ = (pack.record(0), pack.record(1), pack.index().count());
            }
        }
    }
}
