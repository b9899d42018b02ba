//! The state of a data directory as one file, for a backup or another device: a tar archive that any tar can list.
//!
//! ```text
//! format                 "bitacora-export 1\n"
//! results/HEX, packs/HEX blobs named by their hash
//! ledger                 version u32 little-endian, then the ledger as in a snapshot of the journal (MessagePack)
//! ```
//!
//! The ledger comes last: an archive that was cut short has none and is refused. Nothing is unpacked by name: entries
//! that are no blob, or whose bytes are not what their name says, are refused too.

use std::io::{self, Read, Write};

use bitacora_core::{fleet::Ledger, ids::Digest};
use fleet_agent::blobs::{self, BlobError, Blobs};
use tar::{Archive, Builder, Header};

use crate::{
    data::{DataDirectory, DataError},
    journal::{Journal, JournalError, RECORD_VERSION},
    result::{Needed, ResultError},
};

const FORMAT: &[u8] = b"bitacora-export 1\n";
/// An entry beyond this is no export of ours: a pack's offsets have 32 bits.
const ENTRY_BYTES_MAX: u64 = 4 << 30;

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot {0} the archive")]
    Io(&'static str, #[source] io::Error),
    #[error("the archive is no export of bitacora: {0}")]
    Foreign(String),
    #[error("the archive is of a later version than this program reads ({found}, {known}); use a newer bitacora")]
    Newer { found: u32, known: u32 },
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    #[error("the data directory holds {projects} projects already; import into an empty one, named with --data-dir")]
    Occupied { projects: usize },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Result(#[from] ResultError),
}

/// What an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub projects: usize,
    pub results: u64,
    pub packs: u64,
    pub bytes: u64,
}

/// Writes the journal's state and the last result of each project, with its packs if asked for.
pub fn export(data: &DataDirectory, with_packs: bool, out: impl Write) -> Result<Contents, ArchiveError> {
    let ledger = Journal::read(&data.journal())?.unwrap_or_default();
    let mut archive = Builder::new(out);
    let mut contents = Contents { projects: ledger.projects.len(), ..Contents::default() };
    append(&mut archive, "format", FORMAT)?;
    let (results, packs) = (Blobs::open(&data.manifests())?, Blobs::open(&data.packs())?);
    let needed = Needed::of(data, &ledger)?;
    for name in needed.results {
        contents.bytes += append(&mut archive, &format!("results/{}", name.to_hex()), &results.read(name)?)?;
        contents.results += 1;
    }
    for name in needed.packs.into_iter().filter(|_| with_packs) {
        match packs.read(name) {
            Ok(bytes) => contents.bytes += append(&mut archive, &format!("packs/{}", name.to_hex()), &bytes)?,
            // What is lost here is made again there, as it would be here.
            Err(BlobError::Missing(_) | BlobError::Corrupt(..)) => continue,
            Err(error) => return Err(error.into()),
        }
        contents.packs += 1;
    }
    let mut body = RECORD_VERSION.to_le_bytes().to_vec();
    rmp_serde::encode::write_named(&mut body, &ledger).expect("a ledger in memory can be written to memory");
    append(&mut archive, "ledger", &body)?;
    archive.into_inner().and_then(|mut out| out.flush()).map_err(|error| ArchiveError::Io("write", error))?;
    Ok(contents)
}

fn append(archive: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> Result<u64, ArchiveError> {
    let mut header = Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, name, bytes).map_err(|error| ArchiveError::Io("write", error))?;
    Ok(bytes.len() as u64)
}

/// Reads an archive into an empty data directory. The journal is written last: an import that was interrupted leaves
/// blobs that nobody points to, and can be done again.
pub fn import(data: &DataDirectory, from: impl Read, waiting: impl FnOnce(&str)) -> Result<Contents, ArchiveError> {
    let _lock = data.lock(waiting)?;
    let (mut journal, present) = Journal::open(&data.journal())?;
    if !present.ledger.projects.is_empty() {
        return Err(ArchiveError::Occupied { projects: present.ledger.projects.len() });
    }
    let (results, packs) = (Blobs::open(&data.manifests())?, Blobs::open(&data.packs())?);
    let (mut contents, mut ledger, mut format_seen) = (Contents::default(), None, false);
    let mut archive = Archive::new(from);
    let unreadable = |error| ArchiveError::Io("read", error);
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.size() > ENTRY_BYTES_MAX {
            return Err(ArchiveError::Foreign(format!("its entry {name:?} is too large")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 != entry.size() {
            return Err(ArchiveError::Damaged("it was cut short".into()));
        }
        match name.split_once('/') {
            None if name == "format" => format_seen = bytes == FORMAT,
            None if name == "ledger" => ledger = Some(read_ledger(&bytes)?),
            Some(("results", hex)) => {
                keep(&results, &name, hex, &bytes)?;
                contents.results += 1;
                contents.bytes += bytes.len() as u64;
            }
            Some(("packs", hex)) => {
                keep(&packs, &name, hex, &bytes)?;
                contents.packs += 1;
                contents.bytes += bytes.len() as u64;
            }
            _ => return Err(ArchiveError::Foreign(format!("it holds an entry {name:?}"))),
        }
        if !format_seen {
            return Err(ArchiveError::Foreign("it does not begin like one".into()));
        }
    }
    let mut ledger = ledger.ok_or_else(|| ArchiveError::Damaged("it was cut short".into()))?;
    contents.projects = ledger.projects.len();
    // Whoever served this directory before must stay recognisable as earlier.
    ledger.epoch = ledger.epoch.max(present.ledger.epoch);
    journal.snapshot(&ledger)?;
    Ok(contents)
}

fn read_ledger(bytes: &[u8]) -> Result<Ledger, ArchiveError> {
    let (version, body) = bytes.split_first_chunk().ok_or_else(|| ArchiveError::Damaged("its ledger is cut".into()))?;
    let found = u32::from_le_bytes(*version);
    if found > RECORD_VERSION {
        return Err(ArchiveError::Newer { found, known: RECORD_VERSION });
    }
    rmp_serde::from_slice(body).map_err(|error| ArchiveError::Damaged(format!("its ledger cannot be read: {error}")))
}

fn keep(blobs: &Blobs, entry: &str, hex: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let name = Digest::from_hex(hex).ok_or_else(|| ArchiveError::Foreign(format!("it holds an entry {entry:?}")))?;
    if blobs::digest(bytes) != name {
        return Err(ArchiveError::Damaged(format!("{entry} is not what its name says")));
    }
    blobs.write(bytes)?;
    Ok(())
}
