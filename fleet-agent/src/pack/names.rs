//! The names of a pack's symbols, without its records. What is found here is a hint: the record that it leads to is
//! read checked.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{Layout, NAME_ROW_BYTES, OCCURRENCE_BYTES, PackError, read_layout, read_u32};

/// The letters and digits of a text, whatever their case, as bits; everything else is no bit. A name can match a query
/// fuzzily only if it has all the query's bits.
pub fn letters(text: &[u8]) -> u64 {
    text.iter().fold(0, |bits, byte| match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => bits | 1 << (letter - b'a'),
        digit @ b'0'..=b'9' => bits | 1 << (26 + digit - b'0'),
        _ => bits,
    })
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

/// The names of one pack after another, in buffers that are reused.
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
