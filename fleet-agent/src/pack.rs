//! The records of one spark in one blob, with an index by content and a sorted list of their symbols.
//!
//! ```text
//! magic 8 | fingerprint 32 | records (MessagePack) ... | symbol names, each with '\n' ... |
//! symbols: entry u32, ordinal u32, name end u32  x symbols | index: content 32, language 16, offset u32, length u32  x entries |
//! entries u32, symbols u32, names offset u32, symbols offset u32, index offset u32, magic 8
//! ```
//!
//! All numbers are little-endian. A reader checks every offset: a damaged pack is an error and never a panic.

use bitacora_core::{ids::Digest, wire::record::FileRecord};

const MAGIC: &[u8; 8] = b"BITPACK1";
const HEAD_BYTES: usize = 8 + 32;
const LANGUAGE_BYTES: usize = 16;
const INDEX_ROW_BYTES: usize = 32 + LANGUAGE_BYTES + 8;
const SYMBOL_ROW_BYTES: usize = 12;
pub const TRAILER_BYTES: usize = 5 * 4 + 8;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    #[error("the pack is damaged")]
    Damaged,
    #[error("the pack has no entry {0}")]
    NoEntry(u32),
    #[error("a record in the pack cannot be read: {0}")]
    Record(String),
}

/// Collects records into a pack.
pub struct PackWriter {
    bytes: Vec<u8>,
    index: Vec<u8>,
    entries: u32,
    symbols: Vec<(String, u32, u32)>,
}

impl PackWriter {
    pub fn new(fingerprint: Digest) -> PackWriter {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&fingerprint.0);
        PackWriter { bytes, index: Vec::new(), entries: 0, symbols: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Answers with the record's number in the pack.
    pub fn add(&mut self, content: Digest, record: &FileRecord) -> u32 {
        let offset = self.bytes.len() as u32;
        rmp_serde::encode::write(&mut self.bytes, record).expect("a record in memory can be written to memory");
        let mut language = [0; LANGUAGE_BYTES];
        language[..record.language.len()].copy_from_slice(record.language.as_bytes());
        self.index.extend_from_slice(&content.0);
        self.index.extend_from_slice(&language);
        self.index.extend_from_slice(&offset.to_le_bytes());
        self.index.extend_from_slice(&(self.bytes.len() as u32 - offset).to_le_bytes());
        let entry = self.entries;
        self.entries += 1;
        self.symbols.extend((0..).zip(&record.symbols).map(|(ordinal, symbol)| (symbol.name.replace('\n', " "), entry, ordinal)));
        entry
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.symbols.sort_unstable();
        let names_at = self.bytes.len() as u32;
        let mut rows = Vec::with_capacity(self.symbols.len() * SYMBOL_ROW_BYTES);
        for (name, entry, ordinal) in &self.symbols {
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.push(b'\n');
            let end = self.bytes.len() as u32 - names_at;
            [*entry, *ordinal, end].iter().for_each(|number| rows.extend_from_slice(&number.to_le_bytes()));
        }
        let symbols_at = self.bytes.len() as u32;
        self.bytes.append(&mut rows);
        let index_at = self.bytes.len() as u32;
        self.bytes.append(&mut self.index);
        for number in [self.entries, self.symbols.len() as u32, names_at, symbols_at, index_at] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(MAGIC);
        self.bytes
    }
}

/// A pack in memory, its frame checked.
pub struct Pack<B> {
    bytes: B,
    entries: u32,
    symbols: u32,
    names_at: usize,
    symbols_at: usize,
    index_at: usize,
}

/// A row of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    pub content: Digest,
    pub language: String,
    pub entry: u32,
}

/// A symbol in a pack, by where its record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolRef {
    pub entry: u32,
    pub ordinal: u32,
}

impl<B: AsRef<[u8]>> Pack<B> {
    pub fn open(bytes: B) -> Result<Pack<B>, PackError> {
        let all = bytes.as_ref();
        let framed = all.len() >= HEAD_BYTES + TRAILER_BYTES && all.starts_with(MAGIC) && all.ends_with(MAGIC);
        if !framed {
            return Err(PackError::Damaged);
        }
        let trailer = all.len() - TRAILER_BYTES;
        let number = |place: usize| read_u32(all, trailer + 4 * place).ok_or(PackError::Damaged);
        let (entries, symbols) = (number(0)?, number(1)?);
        let (names_at, symbols_at, index_at) = (number(2)? as usize, number(3)? as usize, number(4)? as usize);
        let ordered = HEAD_BYTES <= names_at && names_at <= symbols_at;
        let fits = symbols_at.checked_add(symbols as usize * SYMBOL_ROW_BYTES) == Some(index_at) && index_at + entries as usize * INDEX_ROW_BYTES == trailer;
        if ordered && fits { Ok(Pack { bytes, entries, symbols, names_at, symbols_at, index_at }) } else { Err(PackError::Damaged) }
    }

    pub fn fingerprint(&self) -> Digest {
        Digest(self.all()[8..HEAD_BYTES].try_into().expect("the frame was checked"))
    }

    pub fn index(&self) -> impl Iterator<Item = IndexRow> + '_ {
        (0..self.entries).map(|entry| {
            let row = self.index_row(entry).expect("the frame was checked");
            let language = row[32..32 + LANGUAGE_BYTES].split(|byte| *byte == 0).next().unwrap_or_default();
            let content = Digest(row[..32].try_into().expect("32 bytes"));
            IndexRow { content, language: String::from_utf8_lossy(language).into_owned(), entry }
        })
    }

    pub fn record(&self, entry: u32) -> Result<FileRecord, PackError> {
        let row = self.index_row(entry).ok_or(PackError::NoEntry(entry))?;
        let at = 32 + LANGUAGE_BYTES;
        let (offset, length) = (read_u32(row, at).ok_or(PackError::Damaged)? as usize, read_u32(row, at + 4).ok_or(PackError::Damaged)? as usize);
        let bytes = self.all().get(offset..offset.saturating_add(length)).ok_or(PackError::Damaged)?;
        rmp_serde::from_slice(bytes).map_err(|error| PackError::Record(error.to_string()))
    }

    pub fn entries(&self) -> u32 {
        self.entries
    }

    pub fn symbols(&self) -> u32 {
        self.symbols
    }

    /// All symbol names in order, each followed by a line feed.
    pub fn names(&self) -> &[u8] {
        &self.all()[self.names_at..self.symbols_at]
    }

    /// Where the name of a symbol ends in [`Pack::names`], its line feed included.
    pub fn name_end(&self, symbol: u32) -> Option<usize> {
        (symbol < self.symbols).then(|| read_u32(self.all(), self.symbols_at + symbol as usize * SYMBOL_ROW_BYTES + 8)).flatten().map(|end| end as usize)
    }

    pub fn symbol(&self, symbol: u32) -> Option<SymbolRef> {
        let row = self.symbols_at + symbol as usize * SYMBOL_ROW_BYTES;
        (symbol < self.symbols).then(|| Some(SymbolRef { entry: read_u32(self.all(), row)?, ordinal: read_u32(self.all(), row + 4)? })).flatten()
    }

    fn index_row(&self, entry: u32) -> Option<&[u8]> {
        let at = self.index_at + (entry as usize) * INDEX_ROW_BYTES;
        (entry < self.entries).then(|| self.all().get(at..at + INDEX_ROW_BYTES)).flatten()
    }

    fn all(&self) -> &[u8] {
        self.bytes.as_ref()
    }
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

    #[test]
    fn what_is_packed_can_be_read() {
        let pack = Pack::open(pack()).unwrap();
        assert_eq!(pack.fingerprint(), Digest([9; 32]));
        assert_eq!(pack.record(0).unwrap(), record(&["zeta", "alpha"]));
        assert_eq!(pack.record(2), Err(PackError::NoEntry(2)));
        assert_eq!(pack.index().nth(1), Some(IndexRow { content: Digest([2; 32]), language: "c".into(), entry: 1 }));
        assert_eq!(pack.names(), b"alpha\nalpha\nzeta\n");
        assert_eq!(pack.symbol(2), Some(SymbolRef { entry: 0, ordinal: 0 }));
        assert_eq!(pack.name_end(0), Some(6));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let whole = pack();
        for length in 0..whole.len() {
            assert!(Pack::open(&whole[..length]).is_err());
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            if let Ok(pack) = Pack::open(damaged) {
                let _ = (pack.record(0), pack.record(1), pack.index().count(), pack.symbol(0), pack.name_end(2));
            }
        }
    }
}
