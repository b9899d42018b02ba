//! The names of a project's symbols in one file, so that a search reads a part of them and opens no pack.
//!
//! It is derived: made of the packs' own lists after a search that had to read many of them, and never needed. It says
//! which packs it covers; whoever searches reads the others themselves. It is no blob: every part that is read is checked
//! by itself, and where one is damaged the file counts for nothing and is made again.
//!
//! ```text
//! magic 8 | names u32 | names in a block u32 | packs u32 | blocks u32 | text u64 | occurrences u64 | postings u64 |
//! check of the tables u32 | check of this head u32 |
//! packs x 32 | text: distinct names in order, each with '\n' | names x letters u64 | occurrences: by name, LEB128:
//! how many, then (pack less the pack before, entry, ordinal) each | postings: by gram, LEB128: block less the block before |
//! grams x (postings end u32, check u32) | blocks x (text end u64, occurrences end u64, checks of text, letters, occurrences u32)
//! ```
//!
//! A gram is three characters of a name between line feeds, folded to 64 classes; its postings are the blocks that hold
//! it. A block with a name that is not ASCII is in the postings of `grams::ODD` too: what Unicode takes for the same
//! letter the classes do not.

mod build;
mod grams;

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bitacora_core::ids::{Digest, ProjectId};
pub use build::build;
use fleet_agent::pack::{self, PackError, SymbolRef};

use crate::data::DataDirectory;

const MAGIC: &[u8; 8] = b"BITNAME1";
const HEAD_BYTES: usize = 8 + 4 * 4 + 3 * 8 + 2 * 4;
const LETTERS_BYTES: u64 = 8;
const GRAM_ROW_BYTES: usize = 8;
const BLOCK_ROW_BYTES: usize = 2 * 8 + 3 * 4;
/// More names in a block than this is damage: a project would have thirty thousand million of them.
const BLOCK_NAMES_MAX: u32 = 1 << 19;
/// Blocks in between that are read rather than skipped.
const GAP_BLOCKS_MAX: u32 = 4;
/// Read at once.
const RUN_BYTES: u64 = 1 << 20;
/// Grams of a long query that are looked up: so many leave few blocks.
const GRAMS_MAX: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    #[error("the index of names is damaged")]
    Damaged,
    #[error("the index of names cannot be read or written")]
    Io(#[from] io::Error),
    #[error("pack {0} cannot be read")]
    Pack(Digest, #[source] PackError),
    #[error("there are too many names for an index")]
    TooMany,
}

/// Where the index of a project lies.
pub fn path(data: &DataDirectory, project: ProjectId) -> PathBuf {
    data.names().join(project.to_string())
}

/// Removes the indexes of projects that are not kept, and what writers that were killed left behind; answers with their
/// number and bytes.
pub fn sweep(data: &DataDirectory, kept: impl Fn(&str) -> bool, dry_run: bool) -> io::Result<(u64, u64)> {
    let entries = match std::fs::read_dir(data.names()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        entries => entries?,
    };
    let mut swept = (0, 0);
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&kept) {
            continue;
        }
        swept = (swept.0 + 1, swept.1 + entry.metadata()?.len());
        if !dry_run {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(swept)
}

/// An open index.
#[derive(Debug)]
pub struct Names {
    file: File,
    packs: Vec<Digest>,
    names: u32,
    block_names: u32,
    blocks: Vec<Block>,
    parts: Parts,
}

/// Where the parts begin.
#[derive(Clone, Copy, Debug)]
struct Parts {
    text: u64,
    letters: u64,
    occurrences: u64,
    postings: u64,
    postings_bytes: u64,
    grams: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    text_end: u64,
    occurrences_end: u64,
    text_check: u32,
    letters_check: u32,
    occurrences_check: u32,
}

impl Names {
    /// `None` where there is none.
    pub fn open(path: &Path) -> Result<Option<Names>, NamesError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        let mut head = [0; HEAD_BYTES];
        let cut = |error: io::Error| if error.kind() == io::ErrorKind::UnexpectedEof { NamesError::Damaged } else { error.into() };
        file.read_exact_at(&mut head, 0).map_err(cut)?;
        if !head.starts_with(MAGIC) || check(&head[..HEAD_BYTES - 4]) != u32_at(&head, HEAD_BYTES - 4) {
            return Err(NamesError::Damaged);
        }
        let [names, block_names, packs, blocks] = [8, 12, 16, 20].map(|at| u32_at(&head, at));
        let [text, occurrences, postings] = [24, 32, 40].map(|at| u64_at(&head, at));
        let fits = (1..=BLOCK_NAMES_MAX).contains(&block_names) && names.div_ceil(block_names) == blocks;
        let packs_bytes = u64::from(packs) * 32;
        let blocks_bytes = u64::from(blocks) * BLOCK_ROW_BYTES as u64;
        let text_at = HEAD_BYTES as u64 + packs_bytes;
        let place = |from: u64, bytes: u64| from.checked_add(bytes).filter(|end| *end <= length).ok_or(NamesError::Damaged);
        let letters_at = place(text_at, text)?;
        let occurrences_at = place(letters_at, u64::from(names) * LETTERS_BYTES)?;
        let postings_at = place(occurrences_at, occurrences)?;
        let grams_at = place(postings_at, postings)?;
        let blocks_at = place(grams_at, (grams::COUNT * GRAM_ROW_BYTES) as u64)?;
        if !fits || place(blocks_at, blocks_bytes)? != length {
            return Err(NamesError::Damaged);
        }
        let mut tables = vec![0; (packs_bytes + blocks_bytes) as usize];
        let (packs, rows) = tables.split_at_mut(packs_bytes as usize);
        file.read_exact_at(packs, HEAD_BYTES as u64)?;
        file.read_exact_at(rows, blocks_at)?;
        if check(&tables) != u32_at(&head, 48) {
            return Err(NamesError::Damaged);
        }
        let (packs, rows) = tables.split_at(packs_bytes as usize);
        let parts = Parts { text: text_at, letters: letters_at, occurrences: occurrences_at, postings: postings_at, postings_bytes: postings, grams: grams_at };
        let packs = packs.as_chunks().0.iter().map(|name| Digest(*name)).collect();
        let blocks = rows.chunks_exact(BLOCK_ROW_BYTES).map(Block::read).collect();
        Ok(Some(Names { packs, names, block_names, blocks, parts, file }))
    }

    /// The packs it covers; occurrences name them by their places here.
    pub fn packs(&self) -> &[Digest] {
        &self.packs
    }

    /// How many names it holds.
    pub fn len(&self) -> u32 {
        self.names
    }

    pub fn is_empty(&self) -> bool {
        self.names == 0
    }

    pub fn blocks(&self) -> Range<u32> {
        0..self.blocks.len() as u32
    }

    pub fn block_of(&self, name: u32) -> u32 {
        name / self.block_names
    }

    pub fn first_of(&self, block: u32) -> u32 {
        block * self.block_names
    }

    /// The blocks in which some name may hold this text, a line feed standing for either end of it. Whatever its case.
    pub fn blocks_with(&self, text: &[u8]) -> Result<Vec<u32>, NamesError> {
        let classes: Vec<u8> = text.iter().copied().map(grams::class).collect();
        if !text.is_ascii() || classes.len() < 2 {
            return Ok(self.blocks().collect());
        }
        let mut found = match classes.as_slice() {
            &[first, second] => self.postings(grams::beginning_with(first, second))?,
            _ => {
                let mut grams: Vec<u32> = grams::of(&classes).take(GRAMS_MAX).collect();
                grams.sort_unstable();
                grams.dedup();
                let lists: Result<Vec<Vec<u32>>, NamesError> = grams.into_iter().map(|gram| self.postings(gram..gram + 1)).collect();
                common(lists?)
            }
        };
        found.extend(self.postings(grams::ODD..grams::ODD + 1)?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The blocks of some grams, each gram's in order.
    fn postings(&self, grams: Range<u32>) -> Result<Vec<u32>, NamesError> {
        let before = grams.start.saturating_sub(1);
        let mut rows = vec![0; (grams.end - before) as usize * GRAM_ROW_BYTES];
        self.file.read_exact_at(&mut rows, self.parts.grams + u64::from(before) * GRAM_ROW_BYTES as u64)?;
        let row = |gram: u32| (gram - before) as usize * GRAM_ROW_BYTES;
        let end_of = |gram: u32| u64::from(u32_at(&rows, row(gram)));
        let start = if grams.start == 0 { 0 } else { end_of(before) };
        let end = end_of(grams.end - 1);
        if start > end || end > self.parts.postings_bytes {
            return Err(NamesError::Damaged);
        }
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, self.parts.postings + start)?;
        let (mut from, mut blocks) = (0, Vec::new());
        for gram in grams {
            let to = end_of(gram).checked_sub(start).ok_or(NamesError::Damaged)? as usize;
            let list = bytes.get(from..to).ok_or(NamesError::Damaged)?;
            if check(list) != u32_at(&rows, row(gram) + 4) {
                return Err(NamesError::Damaged);
            }
            let (mut list, mut next) = (list, 0_u32);
            while let Some(step) = leb128(&mut list) {
                next = next.checked_add(step).ok_or(NamesError::Damaged)?;
                blocks.push(next.checked_sub(1).filter(|block| (*block as usize) < self.blocks.len()).ok_or(NamesError::Damaged)?);
            }
            from = to;
        }
        Ok(blocks)
    }

    /// Hands the text of each of these blocks to `take`, in their order.
    pub fn read_text(&self, blocks: &[u32], mut take: impl FnMut(u32, &[u8])) -> Result<(), NamesError> {
        let extent = |block: u32| self.before(block).map_or(0, |before| before.text_end)..self.blocks[block as usize].text_end;
        self.read(self.parts.text, blocks, extent, |block| block.text_check, &mut take)
    }

    /// Hands the letters of the names of each of these blocks to `take`, eight bytes a name.
    pub fn read_letters(&self, blocks: &[u32], mut take: impl FnMut(u32, &[u8])) -> Result<(), NamesError> {
        let end = |names: u64| names.min(u64::from(self.names)) * LETTERS_BYTES;
        let extent = |block: u32| end(u64::from(block) * u64::from(self.block_names))..end((u64::from(block) + 1) * u64::from(self.block_names));
        self.read(self.parts.letters, blocks, extent, |block| block.letters_check, &mut take)
    }

    /// Where the name of this number is defined: the pack's place in [`Names::packs`], and the symbol there.
    pub fn occurrences(&self, number: u32) -> Result<Vec<(u32, SymbolRef)>, NamesError> {
        let block = self.block_of(number);
        let extent = |block: u32| self.before(block).map_or(0, |before| before.occurrences_end)..self.blocks[block as usize].occurrences_end;
        let mut places = None;
        let mut take = |_: u32, bytes: &[u8]| places = nth_places(bytes, number - self.first_of(block));
        self.read(self.parts.occurrences, &[block], extent, |block| block.occurrences_check, &mut take)?;
        places.ok_or(NamesError::Damaged)
    }

    fn before(&self, block: u32) -> Option<&Block> {
        block.checked_sub(1).map(|before| &self.blocks[before as usize])
    }

    /// Blocks that lie close together are read at once; each is checked.
    fn read(
        &self,
        part: u64,
        blocks: &[u32],
        extent: impl Fn(u32) -> Range<u64>,
        expected: impl Fn(&Block) -> u32,
        take: &mut impl FnMut(u32, &[u8]),
    ) -> Result<(), NamesError> {
        let (mut rest, mut buffer) = (blocks, Vec::new());
        while let Some(&first) = rest.first() {
            let start = extent(first).start;
            let close = |pair: &[u32]| pair[1] - pair[0] <= GAP_BLOCKS_MAX && extent(pair[1]).end.saturating_sub(start) <= RUN_BYTES;
            let (run, after) = rest.split_at(1 + rest.windows(2).take_while(|pair| close(pair)).count());
            let end = extent(*run.last().expect("it has the first")).end;
            buffer.resize(end.checked_sub(start).ok_or(NamesError::Damaged)? as usize, 0);
            self.file.read_exact_at(&mut buffer, part + start)?;
            for &block in run {
                let Range { start: from, end: to } = extent(block);
                let bytes = buffer.get((from - start) as usize..(to - start) as usize).ok_or(NamesError::Damaged)?;
                if check(bytes) != expected(&self.blocks[block as usize]) {
                    return Err(NamesError::Damaged);
                }
                take(block, bytes);
            }
            rest = after;
        }
        Ok(())
    }
}

impl Block {
    fn read(row: &[u8]) -> Block {
        let [text_check, letters_check, occurrences_check] = [16, 20, 24].map(|at| u32_at(row, at));
        Block { text_end: u64_at(row, 0), occurrences_end: u64_at(row, 8), text_check, letters_check, occurrences_check }
    }

    fn write(&self, into: &mut Vec<u8>) {
        [self.text_end, self.occurrences_end].iter().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
        [self.text_check, self.letters_check, self.occurrences_check].iter().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
    }
}

/// What is in every list; they are in order.
fn common(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    lists.sort_unstable_by_key(Vec::len);
    let mut lists = lists.into_iter();
    let first = lists.next().unwrap_or_default();
    lists.fold(first, |mut found, list| {
        let mut other = list.iter().peekable();
        found.retain(|block| {
            while other.next_if(|there| *there < block).is_some() {}
            other.peek() == Some(&block)
        });
        found
    })
}

/// The places of the name of this number in a block's occurrences.
fn nth_places(mut bytes: &[u8], number: u32) -> Option<Vec<(u32, SymbolRef)>> {
    for _ in 0..number {
        for _ in 0..leb128(&mut bytes)? {
            for _ in 0..3 {
                leb128(&mut bytes)?;
            }
        }
    }
    let (count, mut pack) = (leb128(&mut bytes)?, 0_u32);
    let mut place = || {
        pack = pack.checked_add(leb128(&mut bytes)?)?;
        Some((pack, SymbolRef { entry: leb128(&mut bytes)?, ordinal: leb128(&mut bytes)? }))
    };
    (0..count).map(|_| place()).collect()
}

/// `None` at the end, and where it is no number of 32 bits.
fn leb128(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

fn write_leb128(mut number: u32, into: &mut Vec<u8>) {
    while number > 0x7f {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn check(bytes: &[u8]) -> u32 {
    (pack::check(bytes) >> 32) as u32
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use bitacora_core::wire::record::{FileRecord, Symbol, SymbolKind};
    use fleet_agent::{blobs::Blobs, pack::PackWriter};

    use super::*;

    fn pack(blobs: &Blobs, names: &[&str]) -> Digest {
        let symbol = |name: &&str| Symbol {
            name: (*name).into(),
            kind: SymbolKind::Function,
            line: 1,
            column: 1,
            end_line: 1,
            container: String::new(),
            visibility: String::new(),
            signature: String::new(),
        };
        let mut writer = PackWriter::new(Digest::default());
        let record = FileRecord { language: "c".into(), symbols: names.iter().map(symbol).collect(), ..FileRecord::default() };
        writer.add(Digest([1; 32]), &record);
        blobs.write(&writer.finish()).unwrap()
    }

    /// Two packs with one name in common, enough others for several blocks, and one that is not ASCII.
    fn sample(folder: &Path) -> (PathBuf, Vec<Digest>) {
        let blobs = Blobs::open(&folder.join("packs")).unwrap();
        let many: Vec<String> = (0..300).map(|number| format!("name_{number:03}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["both"]).collect();
        let packs = vec![pack(&blobs, &many), pack(&blobs, &["zeta", "both", "straße"])];
        let index = folder.join("names/p1.1");
        build(&index, &packs, 304, |name| blobs.path(name)).unwrap();
        (index, packs)
    }

    fn grams_of(name: &str) -> Vec<u32> {
        let classes: Vec<u8> = name.bytes().map(grams::class).collect();
        grams::of(&classes).collect()
    }

    fn text(names: &Names, blocks: &[u32]) -> String {
        let mut all = Vec::new();
        names.read_text(blocks, |_, text| all.extend_from_slice(text)).unwrap();
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn names_are_merged_and_found_by_their_parts() {
        let folder = tempfile::tempdir().unwrap();
        let (index, packs) = sample(folder.path());
        let names = Names::open(&index).unwrap().unwrap();
        assert_eq!((names.packs(), names.len(), names.blocks()), (packs.as_slice(), 303, 0..5));
        let all: Vec<u32> = names.blocks().collect();
        let whole = text(&names, &all);
        assert!(whole.lines().is_sorted() && whole.lines().count() == 303 && whole.starts_with("both\nname_000\n") && whole.ends_with("straße\nzeta\n"));
        let at = |entry, ordinal| SymbolRef { entry, ordinal };
        assert_eq!(names.occurrences(0).unwrap(), [(0, at(0, 300)), (1, at(0, 1))]);
        assert_eq!(names.occurrences(302).unwrap(), [(1, at(0, 0))]);
        // The last block holds what is not ASCII, and is looked at whatever is asked for.
        assert_eq!(names.blocks_with(b"E_25").unwrap(), [3, 4]);
        assert_eq!(names.blocks_with(b"\nbo").unwrap(), [0, 4]);
        assert_eq!(names.blocks_with(b"ta\n").unwrap(), [4]);
        assert_eq!(names.blocks_with(b"o").unwrap(), all);
        assert_eq!(names.blocks_with("ß".as_bytes()).unwrap(), all);
        let mut letters = Vec::new();
        names.read_letters(&[4], |_, read| letters.extend_from_slice(read)).unwrap();
        assert_eq!(u64_at(&letters, letters.len() - 8), pack::letters(b"zeta"));
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (index, _) = sample(folder.path());
        let whole = std::fs::read(&index).unwrap();
        // Of the long table of grams those that occur, and one that does not.
        let grams: Vec<u32> = ["both", "name_250", "zeta"].iter().flat_map(|name| grams_of(name)).chain([7]).collect();
        let read_all = |path: &Path| -> Result<u64, NamesError> {
            let names = Names::open(path)?.expect("it is there");
            let blocks: Vec<u32> = names.blocks().collect();
            let mut sum = 0;
            names.read_text(&blocks, |_, text| sum += text.len() as u64)?;
            names.read_letters(&blocks, |_, letters| sum += letters.len() as u64)?;
            grams.iter().try_for_each(|gram| names.postings(*gram..gram + 1).map(|blocks| sum += blocks.len() as u64))?;
            (0..names.len()).try_for_each(|number| names.occurrences(number).map(|places| sum += places.len() as u64))?;
            Ok(sum)
        };
        assert!(read_all(&index).is_ok());
        let Parts { postings, grams: rows, .. } = Names::open(&index).unwrap().unwrap().parts;
        let rows_of = grams.iter().map(|gram| rows as usize + *gram as usize * GRAM_ROW_BYTES).flat_map(|row| row..row + GRAM_ROW_BYTES);
        let behind = rows as usize + grams::COUNT * GRAM_ROW_BYTES;
        let places = (0..postings as usize).chain(rows_of).chain(behind..whole.len());
        let damaged = folder.path().join("damaged");
        std::fs::write(&damaged, &whole).unwrap();
        let file = File::options().write(true).open(&damaged).unwrap();
        for place in places {
            file.write_all_at(&[whole[place] ^ 0x55], place as u64).unwrap();
            assert!(matches!(read_all(&damaged), Err(NamesError::Damaged)), "byte {place}");
            file.write_all_at(&whole[place..=place], place as u64).unwrap();
        }
        for length in (0..whole.len()).step_by(9973) {
            std::fs::write(&damaged, &whole[..length]).unwrap();
            assert!(matches!(read_all(&damaged), Err(NamesError::Damaged)), "{length} bytes");
        }
    }

    #[test]
    fn a_number_is_written_in_as_few_bytes_as_it_needs() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u32::MAX] {
            let mut bytes = Vec::new();
            write_leb128(number, &mut bytes);
            assert_eq!(leb128(&mut bytes.as_slice()), Some(number));
        }
        assert_eq!(leb128(&mut [0xff; 9].as_slice()), None);
        assert_eq!(leb128(&mut [0x80].as_slice()), None);
    }
}
