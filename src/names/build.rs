//! Making an index of names out of the packs' lists, which are in order: a merge that keeps a piece of each in memory.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::{self, File},
    io::{self, BufWriter, Seek, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use bitacora_core::ids::Digest;
use fleet_agent::pack::{NameStream, SymbolRef};

use super::{Block, HEAD_BYTES, MAGIC, NamesError, check, grams, write_leb128};

/// Names in a block, where they are few enough for [`BLOCKS_MAX`].
const BLOCK_NAMES_MIN: u32 = 64;
/// Keeps the postings small, and what is kept of each block.
const BLOCKS_MAX: u32 = 1 << 16;
/// Pieces of all packs that are in memory during the merge.
const PIECES_BYTES: usize = 32 << 20;
const PIECE_BYTES_MIN: usize = 4 << 10;
/// Postings are kept in memory until the last name is known. The whole of Linux has 20 MB of them.
const POSTINGS_BYTES_MAX: usize = 256 << 20;

/// Writes the index of these packs; `place` says where a pack lies, and how many names it has. It appears whole.
pub fn build(path: &Path, packs: &[Digest], names_max: u64, place: impl Fn(Digest) -> std::path::PathBuf) -> Result<(), NamesError> {
    let folder = path.parent().expect("an index lies in a folder");
    fs::create_dir_all(folder)?;
    let piece_bytes = (PIECES_BYTES / 3 / packs.len().max(1)).max(PIECE_BYTES_MIN);
    let open = |name: &Digest| NameStream::open(place(*name), piece_bytes).map_err(|error| NamesError::Pack(*name, error));
    let mut merge = Merge::new(packs, packs.iter().map(open).collect::<Result<_, _>>()?)?;
    let mut writer = Writer::new(folder, packs, names_max)?;
    while let Some(merged) = merge.next()? {
        writer.add(&merged)?;
    }
    let file = writer.finish(packs)?;
    // Not synced: what a power cut leaves of it is found damaged and made again.
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Each distinct name with its places in all packs.
struct Merge<'p> {
    packs: &'p [Digest],
    streams: Vec<NameStream>,
    /// The next name of each stream that has one.
    heap: BinaryHeap<Reverse<(Vec<u8>, u32)>>,
    name: Vec<u8>,
    places: Vec<(u32, SymbolRef)>,
}

/// A name with all its places, by packs.
struct Merged<'m> {
    name: &'m [u8],
    letters: u64,
    places: &'m [(u32, SymbolRef)],
}

impl<'p> Merge<'p> {
    fn new(packs: &'p [Digest], mut streams: Vec<NameStream>) -> Result<Merge<'p>, NamesError> {
        let mut heap = BinaryHeap::new();
        for (number, stream) in (0..).zip(&mut streams) {
            if stream.advance().map_err(|error| NamesError::Pack(packs[number as usize], error))? {
                heap.push(Reverse((stream.name().to_vec(), number)));
            }
        }
        Ok(Merge { packs, streams, heap, name: Vec::new(), places: Vec::new() })
    }

    fn next(&mut self) -> Result<Option<Merged<'_>>, NamesError> {
        let Some(Reverse((first, _))) = self.heap.peek() else { return Ok(None) };
        self.name.clone_from(first);
        self.places.clear();
        let mut letters = 0;
        while let Some(mut top) = self.heap.peek_mut().filter(|top| top.0.0 == self.name) {
            let Reverse((name, number)) = &mut *top;
            let stream = &mut self.streams[*number as usize];
            letters = stream.letters();
            self.places.extend(stream.occurrences().iter().map(|symbol| (*number, *symbol)));
            let damaged = |error| NamesError::Pack(self.packs[*number as usize], error);
            let more = stream.advance().map_err(damaged)?;
            // A list that is not in order would be merged into one that is not.
            if more && stream.name() <= name.as_slice() {
                return Err(damaged(fleet_agent::pack::PackError::Damaged));
            }
            if more {
                name.clear();
                name.extend_from_slice(stream.name());
            } else {
                PeekMut::pop(top);
            }
        }
        Ok(Some(Merged { name: &self.name, letters, places: &self.places }))
    }
}

/// The file as it grows. What comes behind the text lies in files of its own until its place is known.
struct Writer {
    text: BufWriter<tempfile::NamedTempFile>,
    letters: BufWriter<File>,
    occurrences: BufWriter<File>,
    block_names: u32,
    names: u32,
    text_bytes: u64,
    occurrences_bytes: u64,
    blocks: Vec<Block>,
    block: Pieces,
    postings: Vec<Postings>,
    postings_bytes: usize,
    classes: Vec<u8>,
}

/// The block that is being filled.
#[derive(Default)]
struct Pieces {
    names: u32,
    text: Vec<u8>,
    letters: Vec<u8>,
    occurrences: Vec<u8>,
}

#[derive(Clone, Default)]
struct Postings {
    /// One more than the last block.
    next: u32,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(folder: &Path, packs: &[Digest], names_max: u64) -> Result<Writer, NamesError> {
        let mut text = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
        text.write_all(&[0; HEAD_BYTES])?;
        packs.iter().try_for_each(|name| text.write_all(&name.0))?;
        let block_names = u32::try_from(names_max / u64::from(BLOCKS_MAX)).map_err(|_| NamesError::TooMany)?.next_power_of_two().max(BLOCK_NAMES_MIN);
        let beside = || tempfile::tempfile_in(folder).map(BufWriter::new);
        Ok(Writer {
            text,
            letters: beside()?,
            occurrences: beside()?,
            block_names,
            names: 0,
            text_bytes: 0,
            occurrences_bytes: 0,
            blocks: Vec::new(),
            block: Pieces::default(),
            postings: vec![Postings::default(); grams::COUNT],
            postings_bytes: 0,
            classes: Vec::new(),
        })
    }

    fn add(&mut self, merged: &Merged<'_>) -> Result<(), NamesError> {
        let Merged { name, letters, places } = *merged;
        self.block.text.extend_from_slice(name);
        self.block.text.push(b'\n');
        self.block.letters.extend_from_slice(&letters.to_le_bytes());
        write_leb128(places.len() as u32, &mut self.block.occurrences);
        let mut before = 0;
        for (pack, symbol) in places {
            [pack - before, symbol.entry, symbol.ordinal].iter().for_each(|number| write_leb128(*number, &mut self.block.occurrences));
            before = *pack;
        }
        self.post(name)?;
        self.names = self.names.checked_add(1).ok_or(NamesError::TooMany)?;
        self.block.names += 1;
        if self.block.names == self.block_names { self.end_block() } else { Ok(()) }
    }

    /// Notes the grams of a name for the block.
    fn post(&mut self, name: &[u8]) -> Result<(), NamesError> {
        let next = self.blocks.len() as u32 + 1;
        self.classes.clear();
        self.classes.push(grams::class(b'\n'));
        self.classes.extend(name.iter().map(|byte| grams::class(*byte)));
        self.classes.push(grams::class(b'\n'));
        let odd = (!name.is_ascii()).then_some(grams::ODD);
        for gram in grams::of(&self.classes).chain(odd) {
            let postings = &mut self.postings[gram as usize];
            if postings.next != next {
                let before = postings.bytes.len();
                write_leb128(next - postings.next, &mut postings.bytes);
                postings.next = next;
                self.postings_bytes += postings.bytes.len() - before;
            }
        }
        if self.postings_bytes > POSTINGS_BYTES_MAX { Err(NamesError::TooMany) } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), NamesError> {
        let Pieces { text, letters, occurrences, .. } = std::mem::take(&mut self.block);
        self.text_bytes += text.len() as u64;
        self.occurrences_bytes += occurrences.len() as u64;
        let (text_check, letters_check, occurrences_check) = (check(&text), check(&letters), check(&occurrences));
        self.blocks.push(Block { text_end: self.text_bytes, occurrences_end: self.occurrences_bytes, text_check, letters_check, occurrences_check });
        self.text.write_all(&text)?;
        self.letters.write_all(&letters)?;
        Ok(self.occurrences.write_all(&occurrences)?)
    }

    fn finish(mut self, packs: &[Digest]) -> Result<tempfile::NamedTempFile, NamesError> {
        if self.block.names > 0 {
            self.end_block()?;
        }
        let mut file = self.text.into_inner().map_err(io::IntoInnerError::into_error)?;
        for part in [self.letters, self.occurrences] {
            let mut part = part.into_inner().map_err(io::IntoInnerError::into_error)?;
            part.rewind()?;
            io::copy(&mut part, file.as_file_mut())?;
        }
        let mut grams = Vec::new();
        let (mut out, mut end) = (BufWriter::new(&mut file), 0_u32);
        for Postings { bytes, .. } in &self.postings {
            out.write_all(bytes)?;
            end += bytes.len() as u32;
            grams.extend_from_slice(&end.to_le_bytes());
            grams.extend_from_slice(&check(bytes).to_le_bytes());
        }
        out.write_all(&grams)?;
        let mut tables: Vec<u8> = packs.iter().flat_map(|name| name.0).collect();
        let blocks_at = tables.len();
        self.blocks.iter().for_each(|block| block.write(&mut tables));
        out.write_all(&tables[blocks_at..])?;
        out.flush()?;
        drop(out);
        let mut head = MAGIC.to_vec();
        [self.names, self.block_names, packs.len() as u32, self.blocks.len() as u32].iter().for_each(|number| head.extend_from_slice(&number.to_le_bytes()));
        [self.text_bytes, self.occurrences_bytes, u64::from(end)].iter().for_each(|number| head.extend_from_slice(&number.to_le_bytes()));
        head.extend_from_slice(&check(&tables).to_le_bytes());
        head.extend_from_slice(&check(&head).to_le_bytes());
        file.as_file().write_all_at(&head, 0)?;
        Ok(file)
    }
}
