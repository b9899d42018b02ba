//! The state of a data directory as one file, for a backup or another device: a tar archive that any tar can list.
//!
//! ```text
//! format                 "bitacora-export 1\n"
//! authority              the fleet's authority, sealed with a passphrase (see `trust::seal`); only if asked for
//! audit                  with it: the audit's chain, as [number, body, hash] each (MessagePack)
//! results/HEX, packs/HEX blobs named by their hash
//! ledger                 version u32 little-endian, then the ledger as in a snapshot of the journal (MessagePack)
//! ```
//!
//! The authority comes first: whoever does not know its passphrase has changed nothing. The ledger comes last: an archive that
//! was cut short has none and is refused. Nothing is unpacked by name: entries
//! that are no blob, or whose bytes are not what their name says, are refused too.

use std::io::{self, Read, Write};

use bitacora_core::{
    fleet::{Action, AuditRecord, Ledger, Outcome, Requester},
    ids::Digest,
};
use fleet_agent::{
    blobs::{self, BlobError, Blobs},
    net::tls::Authority,
};
use tar::{Archive, Builder, Header};

use crate::{
    data::{DataDirectory, DataError},
    journal::{
        Journal, JournalError, RECORD_VERSION,
        audit::{self, Fault, Link},
    },
    result::{Needed, ResultError},
    trust::{self, Passphrase, Safe, TrustError},
};

/// Agents refuse a master whose epoch is before the latest they have seen, and since the archive was made there may have been
/// any number. So many are skipped: more than a machine begins in its life, and few enough for four thousand restores.
const EPOCHS_SKIPPED: u32 = 1 << 20;
const AUTHORITY: &str = "authority";
const AUDIT: &str = "audit";
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
    #[error("the archive holds the fleet's authority, and no passphrase was given for it")]
    PassphraseNeeded,
    #[error("the fleet's authority cannot be taken in or out")]
    Trust(#[from] TrustError),
    #[error("the audit in the archive is not whole")]
    Audit(#[from] Fault),
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
    pub with_authority: bool,
}

/// The fleet's authority on its way out, and the passphrase that it is sealed with.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    pub authority: &'a Authority,
    pub passphrase: &'a Passphrase,
}

/// Writes the journal's state and the last result of each project, with its packs and the fleet's authority if asked for.
pub fn export(data: &DataDirectory, with_packs: bool, leaving: Option<Leaving<'_>>, out: impl Write) -> Result<Contents, ArchiveError> {
    let ledger = Journal::read(&data.journal())?.unwrap_or_default();
    let mut archive = Builder::new(out);
    let mut contents = Contents { projects: ledger.projects.len(), ..Contents::default() };
    append(&mut archive, "format", FORMAT)?;
    if let Some(Leaving { authority, passphrase }) = leaving {
        append(&mut archive, AUTHORITY, &trust::pack(authority, passphrase).map_err(TrustError::from)?)?;
        let chain = rmp_serde::to_vec(&audit::read(&data.journal())?).expect("a chain in memory can be written to memory");
        append(&mut archive, AUDIT, &chain)?;
        contents.with_authority = true;
    }
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

/// Reads an archive into an empty data directory, on behalf of `by`; the passphrase is asked for if the archive holds the fleet's
/// authority. The journal is written last: an import that was interrupted leaves blobs that nobody points to, and can be done
/// again.
pub fn import(
    data: &DataDirectory,
    from: impl Read,
    by: Requester,
    passphrase: impl FnOnce() -> Option<Passphrase>,
    waiting: impl FnOnce(&str),
) -> Result<Contents, ArchiveError> {
    let _lock = data.lock(waiting)?;
    let (mut journal, present) = Journal::open(&data.journal())?;
    check_room(&present.ledger)?;
    let safe = data.safe()?;
    let stores = (Blobs::open(&data.manifests())?, Blobs::open(&data.packs())?);
    let Unpacked { contents, restored, mut ledger } = unpack(from, &safe, passphrase, Some(stores))?;
    // Whoever served this directory before must stay recognisable as earlier.
    ledger.epoch = ledger.epoch.max(present.ledger.epoch);
    if let Some(Restored { authority, chain }) = restored {
        safe.keep(&authority, None)?;
        ledger.epoch.0 = ledger.epoch.0.saturating_add(EPOCHS_SKIPPED);
        journal.adopt_audit(&chain)?;
        let action = Action::FleetRestored { records: chain.len() as u64 };
        let record = AuditRecord { at: ledger.latest.max(fleet_agent::clock::now()), by, action, outcome: Outcome::Done };
        journal.append(ledger.epoch.0, &[], &[record])?;
    }
    journal.snapshot(&ledger)?;
    Ok(contents)
}

/// The same without leaving anything: would it be imported, and what would come?
pub fn examine(data: &DataDirectory, from: impl Read, passphrase: impl FnOnce() -> Option<Passphrase>) -> Result<Contents, ArchiveError> {
    check_room(&Journal::read(&data.journal())?.unwrap_or_default())?;
    Ok(unpack(from, &data.safe()?, passphrase, None)?.contents)
}

fn check_room(present: &Ledger) -> Result<(), ArchiveError> {
    if present.projects.is_empty() { Ok(()) } else { Err(ArchiveError::Occupied { projects: present.projects.len() }) }
}

/// Everything of an archive that is whole.
struct Unpacked {
    contents: Contents,
    restored: Option<Restored>,
    ledger: Ledger,
}

/// Reads all of it; results and packs are kept in the stores, if there are any.
fn unpack(from: impl Read, safe: &Safe, passphrase: impl FnOnce() -> Option<Passphrase>, stores: Option<(Blobs, Blobs)>) -> Result<Unpacked, ArchiveError> {
    let mut unpacking = Unpacking { safe, passphrase: Some(passphrase), stores, contents: Contents::default(), restored: None, ledger: None };
    let mut format_seen = false;
    let mut archive = Archive::new(from);
    for entry in archive.entries().map_err(unreadable(format_seen))? {
        let mut entry = entry.map_err(unreadable(format_seen))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.size() > ENTRY_BYTES_MAX {
            return Err(ArchiveError::Foreign(format!("its entry {name:?} is too large")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unreadable(format_seen))?;
        if bytes.len() as u64 != entry.size() {
            return Err(ArchiveError::Damaged("it was cut short".into()));
        }
        match name == "format" {
            true => format_seen = bytes == FORMAT,
            false if format_seen => unpacking.take(&name, &bytes)?,
            false => {}
        }
        if !format_seen {
            return Err(ArchiveError::Foreign("it does not begin like one".into()));
        }
    }
    if !format_seen {
        return Err(ArchiveError::Foreign("it is empty".into()));
    }
    let Unpacking { mut contents, restored, ledger, .. } = unpacking;
    let ledger = ledger.ok_or_else(|| ArchiveError::Damaged("it was cut short".into()))?;
    (contents.projects, contents.with_authority) = (ledger.projects.len(), restored.is_some());
    Ok(Unpacked { contents, restored, ledger })
}

/// What is no archive is not what cannot be read: tar names either an error of reading.
fn unreadable(format_seen: bool) -> impl Fn(io::Error) -> ArchiveError {
    move |error| match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if format_seen => {
            ArchiveError::Damaged(error.to_string())
        }
        io::ErrorKind::Other | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            ArchiveError::Foreign("it is no tar archive".into())
        }
        _ => ArchiveError::Io("read", error),
    }
}

/// The authority of an archive, and the audit beside it.
struct Restored {
    authority: Authority,
    chain: Vec<Link>,
}

/// What was read of an archive so far.
struct Unpacking<'a, P> {
    safe: &'a Safe,
    passphrase: Option<P>,
    /// For results and packs, where they are kept.
    stores: Option<(Blobs, Blobs)>,
    contents: Contents,
    restored: Option<Restored>,
    ledger: Option<Ledger>,
}

impl<P: FnOnce() -> Option<Passphrase>> Unpacking<'_, P> {
    fn take(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        match name.split_once('/') {
            None if name == AUTHORITY && self.restored.is_none() => self.restored = Some(Restored { authority: self.open(bytes)?, chain: Vec::new() }),
            None if name == AUDIT && self.restored.is_some() => {
                let chain = read_chain(bytes)?;
                self.restored.iter_mut().for_each(|restored| restored.chain.clone_from(&chain));
            }
            None if name == "ledger" => self.ledger = Some(read_ledger(bytes)?),
            Some(("results", hex)) => {
                keep(self.stores.as_ref().map(|stores| &stores.0), name, hex, bytes)?;
                self.contents.results += 1;
                self.contents.bytes += bytes.len() as u64;
            }
            Some(("packs", hex)) => {
                keep(self.stores.as_ref().map(|stores| &stores.1), name, hex, bytes)?;
                self.contents.packs += 1;
                self.contents.bytes += bytes.len() as u64;
            }
            _ => return Err(ArchiveError::Foreign(format!("it holds an entry {name:?}"))),
        }
        Ok(())
    }

    /// Only where no other fleet's is.
    fn open(&mut self, sealed: &[u8]) -> Result<Authority, ArchiveError> {
        let passphrase = self.passphrase.take().and_then(|ask| ask()).ok_or(ArchiveError::PassphraseNeeded)?;
        let authority = trust::unpack(sealed, &passphrase)?;
        self.safe.check_room(authority.fingerprint())?;
        Ok(authority)
    }
}

fn read_chain(bytes: &[u8]) -> Result<Vec<Link>, ArchiveError> {
    let chain: Vec<Link> = rmp_serde::from_slice(bytes).map_err(|error| ArchiveError::Damaged(format!("its audit cannot be read: {error}")))?;
    audit::verify(&chain)?;
    Ok(chain)
}

fn read_ledger(bytes: &[u8]) -> Result<Ledger, ArchiveError> {
    let (version, body) = bytes.split_first_chunk().ok_or_else(|| ArchiveError::Damaged("its ledger is cut".into()))?;
    let found = u32::from_le_bytes(*version);
    if found > RECORD_VERSION {
        return Err(ArchiveError::Newer { found, known: RECORD_VERSION });
    }
    rmp_serde::from_slice(body).map_err(|error| ArchiveError::Damaged(format!("its ledger cannot be read: {error}")))
}

fn keep(blobs: Option<&Blobs>, entry: &str, hex: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let name = Digest::from_hex(hex).ok_or_else(|| ArchiveError::Foreign(format!("it holds an entry {entry:?}")))?;
    if blobs::digest(bytes) != name {
        return Err(ArchiveError::Damaged(format!("{entry} is not what its name says")));
    }
    if let Some(blobs) = blobs {
        blobs.write(bytes)?;
    }
    Ok(())
}
