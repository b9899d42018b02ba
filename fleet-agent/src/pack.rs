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
//! its check is over its content, language and bytes.

mod names;

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, path::Path};

use bitacora_core::{
    ids::Digest,
    wire::record::{FileRecord, FileSummary},
};
pub use names::{NameStream, NamesExtent, Segment, SymbolRef, letters, names_extent};

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

/// Of records that a child has made.
const PACK_BYTES_MAX: usize = 1 << 30;

/// A record as a pack keeps it, and the names of its symbols.
#[derive(Clone, Copy, Debug)]
pub struct Written<'r> {
    pub record: &'r [u8],
    /// One after the other, each with an end of line behind it.
    pub names: &'r [u8],
}

impl Written<'_> {
    /// Writes a record so, in place of what was there.
    pub fn write(found: &FileRecord, record: &mut Vec<u8>, names: &mut Vec<u8>) {
        record.clear();
        rmp_serde::encode::write(record, found).expect("a record in memory can be written to memory");
        names.clear();
        for symbol in &found.symbols {
            names.extend(symbol.name.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
            names.push(b'\n');
        }
    }

    /// Has it a name for each symbol, and no more symbols than it could hold?
    pub fn is_of(&self, summary: &FileSummary) -> bool {
        let ends = memchr::memchr_iter(b'\n', self.names).count();
        ends == summary.symbols as usize && ends <= self.record.len() && self.names.last().is_none_or(|last| *last == b'\n')
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.split_inclusive(|byte| *byte == b'\n').map(|name| name.strip_suffix(b"\n").unwrap_or(name))
    }
}

/// Collects records into a pack.
pub struct PackWriter {
    bytes: Vec<u8>,
    /// For a record, and its names, while they are written.
    scratch: (Vec<u8>, Vec<u8>),
    index: Vec<u8>,
    entries: u32,
    /// Of all symbols, one behind the other.
    names: Vec<u8>,
    symbols: Vec<(Range<u32>, SymbolRef)>,
}

impl PackWriter {
    pub fn new(fingerprint: Digest) -> PackWriter {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&fingerprint.0);
        PackWriter { bytes, scratch: Default::default(), index: Vec::new(), entries: 0, names: Vec::new(), symbols: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Answers with the record's number in the pack.
    pub fn add(&mut self, content: Digest, record: &FileRecord) -> u32 {
        let (mut bytes, mut names) = std::mem::take(&mut self.scratch);
        Written::write(record, &mut bytes, &mut names);
        let entry = self.add_written(content, &record.language, &Written { record: &bytes, names: &names });
        self.scratch = (bytes, names);
        entry
    }

    /// Far more than a spark comes to, and less than its offsets can say.
    pub fn has_room_for(&self, written: &Written<'_>) -> bool {
        self.bytes.len() + self.names.len() + 2 * written.record.len() + written.names.len() < PACK_BYTES_MAX
    }

    /// The same of a record that was written before.
    pub fn add_written(&mut self, content: Digest, language_name: &str, written: &Written<'_>) -> u32 {
        let offset = self.bytes.len() as u32;
        self.compress(written.record);
        let mut language = [0; LANGUAGE_BYTES];
        language[..language_name.len()].copy_from_slice(language_name.as_bytes());
        let key = self.index.len();
        self.index.extend_from_slice(&content.0);
        self.index.extend_from_slice(&language);
        let check = record_check(&self.index[key..], &self.bytes[offset as usize..]);
        self.index.extend_from_slice(&offset.to_le_bytes());
        self.index.extend_from_slice(&(self.bytes.len() as u32 - offset).to_le_bytes());
        self.index.extend_from_slice(&check);
        let entry = self.entries;
        self.entries += 1;
        for (ordinal, name) in (0..).zip(written.names()) {
            let start = self.names.len() as u32;
            self.names.extend_from_slice(name);
            self.symbols.push((start..self.names.len() as u32, SymbolRef { entry, ordinal }));
        }
        entry
    }

    /// Puts the record behind what there is, as an LZ4 block behind its length.
    fn compress(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        let start = self.bytes.len();
        self.bytes.resize(start + lz4_flex::block::get_maximum_output_size(record.len()), 0);
        let length = lz4_flex::block::compress_into(record, &mut self.bytes[start..]).expect("there is room for the worst case");
        self.bytes.truncate(start + length);
    }

    pub fn finish(mut self) -> Vec<u8> {
        let names_at = self.bytes.len() as u32;
        let (mut rows, mut occurrences, mut distinct) = (Vec::new(), Vec::new(), 0_u32);
        let name = |range: &Range<u32>| &self.names[range.start as usize..range.end as usize];
        // The places of one name stay in the order in which they came.
        self.symbols.sort_by(|one, other| name(&one.0).cmp(name(&other.0)));
        for same in self.symbols.chunk_by(|one, next| name(&one.0) == name(&next.0)) {
            let name = name(&same[0].0);
            self.bytes.extend_from_slice(name);
            self.bytes.push(b'\n');
            for (_, place) in same {
                occurrences.extend_from_slice(&place.entry.to_le_bytes());
                occurrences.extend_from_slice(&place.ordinal.to_le_bytes());
            }
            rows.extend_from_slice(&(self.bytes.len() as u32 - names_at).to_le_bytes());
            rows.extend_from_slice(&((occurrences.len() / OCCURRENCE_BYTES) as u32).to_le_bytes());
            rows.extend_from_slice(&letters(name).to_le_bytes());
            distinct += 1;
        }
        let rows_at = self.bytes.len();
        self.bytes.append(&mut rows);
        let occurrences_at = self.bytes.len();
        self.bytes.append(&mut occurrences);
        let index_at = self.bytes.len();
        self.bytes.append(&mut self.index);
        let counts = [self.entries, distinct, self.symbols.len() as u32];
        let offsets = [names_at, rows_at as u32, occurrences_at as u32, index_at as u32];
        counts.iter().chain(&offsets).for_each(|number| self.bytes.extend_from_slice(&number.to_le_bytes()));
        self.bytes.extend_from_slice(MAGIC);
        self.bytes
    }
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

/// An open pack, whose records are read one by one, each checked.
pub struct Records {
    file: File,
    layout: Layout,
    fingerprint: Digest,
    index: Vec<u8>,
}

/// What the texts of a record that was read lie in; used again for the next one.
#[derive(Default)]
pub struct RecordBuffer {
    packed: Vec<u8>,
    bytes: Vec<u8>,
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

impl Records {
    /// Reads the index, and nothing else of the pack.
    pub fn open(path: &Path) -> Result<Records, PackError> {
        let file = File::open(path)?;
        let layout = read_layout(&file)?;
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0)?;
        let (magic, fingerprint) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(PackError::Damaged);
        }
        let mut index = vec![0; layout.entries as usize * INDEX_ROW_BYTES];
        file.read_exact_at(&mut index, layout.index_at as u64)?;
        Ok(Records { layout, fingerprint: Digest(fingerprint.try_into().expect("the head has 32 bytes more")), index, file })
    }

    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    pub fn len(&self) -> u32 {
        self.layout.entries
    }

    pub fn is_empty(&self) -> bool {
        self.layout.entries == 0
    }

    pub fn symbols(&self) -> u32 {
        self.layout.symbols
    }

    pub fn index(&self) -> impl Iterator<Item = IndexRow> + '_ {
        (0..).zip(self.index.chunks_exact(INDEX_ROW_BYTES)).map(|(entry, row)| IndexRow::read(entry, row))
    }

    pub fn read<'b>(&self, entry: u32, buffer: &'b mut RecordBuffer) -> Result<FileRecord<&'b str>, PackError> {
        let row = self.index.chunks_exact(INDEX_ROW_BYTES).nth(entry as usize).ok_or(PackError::NoEntry(entry))?;
        let extent = extent(row);
        if extent.start < HEAD_BYTES || extent.end > self.layout.names_at {
            return Err(PackError::Damaged);
        }
        buffer.packed.resize(extent.len(), 0);
        self.file.read_exact_at(&mut buffer.packed, extent.start as u64)?;
        if record_check(&row[..KEY_BYTES], &buffer.packed) != row[INDEX_ROW_BYTES - CHECK_BYTES..] {
            return Err(PackError::Damaged);
        }
        unpack(buffer)?;
        rmp_serde::from_slice(&buffer.bytes).map_err(|error| PackError::Record(error.to_string()))
    }
}

/// Where in the pack the record of an index row lies, as the row says.
fn extent(row: &[u8]) -> Range<usize> {
    let number = |at| read_u32(row, at).expect("a row is this long") as usize;
    let start = number(KEY_BYTES);
    start..start + number(KEY_BYTES + 4)
}

fn unpack(RecordBuffer { packed, bytes }: &mut RecordBuffer) -> Result<(), PackError> {
    let (length, packed) = packed.split_first_chunk().ok_or(PackError::Damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > RECORD_BYTES_MAX.min(packed.len().saturating_mul(256)) {
        return Err(PackError::Damaged);
    }
    bytes.resize(length, 0);
    let unpacked = lz4_flex::block::decompress_into(packed, bytes).map_err(|error| PackError::Record(error.to_string()))?;
    if unpacked == length { Ok(()) } else { Err(PackError::Damaged) }
}

fn record_check(key: &[u8], packed: &[u8]) -> [u8; CHECK_BYTES] {
    (check(key).rotate_left(32) ^ check(packed)).to_le_bytes()
}

/// Tells damage, not malice, at the speed of memory: who means harm is met by the hash of the whole. As rustc's FxHash.
pub fn check(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)));
    mix(hash, 0)
}

/// The engine of a pack that comes from elsewhere, if it is one as far as its frame tells.
pub fn fingerprint_of(bytes: &[u8]) -> Result<Digest, PackError> {
    check_frame(bytes)?;
    let fingerprint = bytes.get(MAGIC.len()..HEAD_BYTES).ok_or(PackError::Damaged)?;
    Ok(Digest(fingerprint.try_into().expect("the head has 32 bytes more")))
}

/// Are these the bytes of a pack, as far as its frame tells? For one that comes from elsewhere.
pub fn check_frame(bytes: &[u8]) -> Result<(), PackError> {
    let trailer = bytes.len().checked_sub(TRAILER_BYTES).filter(|_| bytes.starts_with(MAGIC)).ok_or(PackError::Damaged)?;
    Layout::read(&bytes[trailer..], bytes.len()).map(drop).ok_or(PackError::Damaged)
}

fn read_layout(file: &File) -> Result<Layout, PackError> {
    let length = file.metadata()?.len() as usize;
    let at = length.checked_sub(TRAILER_BYTES).ok_or(PackError::Damaged)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, at as u64)?;
    Layout::read(&trailer, length).ok_or(PackError::Damaged)
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

    /// As it was put in, read from a file of these bytes.
    fn read(bytes: &[u8], entry: u32) -> Result<FileRecord, PackError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        std::fs::write(&path, bytes).unwrap();
        let mut buffer = RecordBuffer::default();
        let records = Records::open(&path)?;
        // The record itself is taken apart: that its texts are owned is of no interest here.
        let read = records.read(entry, &mut buffer)?;
        Ok(rmp_serde::from_slice(&rmp_serde::to_vec(&read).unwrap()).unwrap())
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        std::fs::write(&path, pack()).unwrap();
        assert!(check_frame(&pack()).is_ok());
        let records = Records::open(&path).unwrap();
        assert_eq!((records.fingerprint(), records.len(), records.symbols()), (Digest([9; 32]), 2, 3));
        assert_eq!(read(&pack(), 0).unwrap(), record(&["zeta", "alpha"]));
        assert_eq!(read(&pack(), 1).unwrap(), record(&["alpha"]));
        assert!(matches!(read(&pack(), 2), Err(PackError::NoEntry(2))));
        assert_eq!(records.index().nth(1), Some(IndexRow { content: Digest([2; 32]), language: "c".into(), entry: 1 }));
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
    fn a_line_feed_in_a_name_ends_no_name() {
        let mut writer = PackWriter::new(Digest::default());
        writer.add(Digest([1; 32]), &record(&["a\nb", "a\tb", "a b"]));
        let segment = segment(&writer.finish()).unwrap();
        assert_eq!((segment.names(), segment.count()), (b"a\tb\na b\n".as_slice(), 2));
        assert_eq!(segment.occurrences(1).unwrap(), [SymbolRef { entry: 0, ordinal: 0 }, SymbolRef { entry: 0, ordinal: 2 }]);
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
    fn a_damaged_record_is_never_read_as_another() {
        let whole = pack();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            // What lies outside of the record and its row is none of its business.
            assert!(read(&damaged, 0).is_ok_and(|read| read == record(&["zeta", "alpha"])) || read(&damaged, 0).is_err(), "byte {place}");
        }
        assert_eq!((0..whole.len()).filter(|length| read(&whole[..*length], 0).is_ok()).count(), 0, "what was cut has no index");
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let whole = pack();
        let folder = tempfile::tempdir().unwrap();
        for length in 0..whole.len() {
            assert!(check_frame(&whole[..length]).is_err());
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
            let _ = check_frame(&damaged);
        }
    }
}
