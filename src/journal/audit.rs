//! The audit: records in a chain, in the journal's own file.
//!
//! There and not in a file of its own, so that a fact and the record that tells of it are one commit: neither is ever
//! without the other, and the commit that a command waits for anyway syncs both.
//!
//! The link of a record is the BLAKE3 hash, under a context of its own, of the link before it (zeros before the first), the
//! record's number and its bytes. A changed, moved or missing record is found by reading the chain; a missing end is found
//! by an agent that was told of it.

use std::path::Path;

use bitacora_core::{fleet::AuditRecord, ids::Digest, wire::message::AuditHead};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{JournalError, RECORD_VERSION, embedded::error};

/// Written once and never again, by this program or by accident.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL);
    CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END;
    CREATE TRIGGER IF NOT EXISTS audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END;
";
/// Whatever somebody has put there instead is bytes, to be found changed.
const LINKS: &str = "SELECT number, CAST(body AS BLOB), CAST(hash AS BLOB) FROM audit";
const CONTEXT: &str = "bitacora 2026-11-21 audit record";

/// A record as it lies in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub number: u64,
    pub body: Vec<u8>,
    pub hash: Digest,
}

/// The first record that is not as it was written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("record {0} is missing")]
    Missing(u64),
    #[error("record {0} was changed, or is not in its place: its hash is not that of its content and of the record before it")]
    Changed(u64),
    #[error("record {0} cannot be read")]
    Unreadable(u64),
}

impl Link {
    /// The link of a record that follows.
    pub fn after(head: Option<AuditHead>, record: &AuditRecord) -> Link {
        let body = rmp_serde::to_vec_named(record).expect("a record in memory can be written to memory");
        let number = head.map_or(1, |head| head.number + 1);
        Link { number, hash: hash(head, number, &body), body }
    }

    pub fn record(&self) -> Result<AuditRecord, Fault> {
        rmp_serde::from_slice(&self.body).map_err(|_| Fault::Unreadable(self.number))
    }

    pub fn head(&self) -> AuditHead {
        AuditHead { number: self.number, hash: self.hash }
    }
}

/// The whole chain as it lies there, unchecked; empty where there is none yet.
pub fn read(path: &Path) -> Result<Vec<Link>, JournalError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let store = Connection::open(path).map_err(error("open", path))?;
    store.busy_timeout(std::time::Duration::from_secs(5)).map_err(error("open", path))?;
    let exists = store.query_row("SELECT count(*) FROM sqlite_master WHERE name = 'audit'", [], |row| row.get::<_, u32>(0)).map_err(error("read", path))?;
    if exists == 0 {
        return Ok(Vec::new());
    }
    let newest: Option<u32> = store.query_row("SELECT max(version) FROM audit", [], |row| row.get(0)).map_err(error("read", path))?;
    if let Some(found) = newest.filter(|found| *found > RECORD_VERSION) {
        return Err(JournalError::Newer { path: path.to_owned(), found, known: RECORD_VERSION });
    }
    let mut links = store.prepare(&format!("{LINKS} ORDER BY number")).map_err(error("read", path))?;
    let rows = links.query_map([], link).map_err(error("read", path))?;
    rows.map(|row| row.map_err(error("read", path))).collect()
}

/// Every record is as it was written, from the first to the last that is there.
pub fn verify(links: &[Link]) -> Result<Option<AuditHead>, Fault> {
    let mut head = None;
    for link in links {
        let number = head.map_or(1, |head: AuditHead| head.number + 1);
        if link.number != number {
            return Err(Fault::Missing(number));
        }
        if link.hash != hash(head, number, &link.body) {
            return Err(Fault::Changed(number));
        }
        link.record()?;
        head = Some(link.head());
    }
    Ok(head)
}

/// The last link.
pub(super) fn head(store: &Connection) -> rusqlite::Result<Option<AuditHead>> {
    store.query_row(&format!("{LINKS} ORDER BY number DESC LIMIT 1"), [], link).optional().map(|link| link.map(|link| link.head()))
}

pub(super) fn has(store: &Connection, head: AuditHead) -> rusqlite::Result<bool> {
    // A number that SQLite cannot hold is none that was given.
    let Ok(number) = i64::try_from(head.number) else { return Ok(false) };
    let found = store.query_row(&format!("{LINKS} WHERE number = ?1"), [number], link).optional()?;
    Ok(found.is_some_and(|link| link.hash == head.hash))
}

/// Puts a whole chain from elsewhere where there is none.
pub(super) fn adopt(transaction: &Transaction<'_>, links: &[Link]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare("INSERT INTO audit VALUES (?1, ?2, ?3, ?4)")?;
    links.iter().try_for_each(|link| insert.execute(params![link.number, RECORD_VERSION, link.body, link.hash.0]).map(drop))
}

/// Appends behind `head`; answers with the new one.
pub(super) fn append(transaction: &Transaction<'_>, head: Option<AuditHead>, records: &[AuditRecord]) -> rusqlite::Result<Option<AuditHead>> {
    let mut head = head;
    for record in records {
        let link = Link::after(head, record);
        transaction.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4)")?.execute(params![link.number, RECORD_VERSION, link.body, link.hash.0])?;
        head = Some(link.head());
    }
    Ok(head)
}

fn hash(before: Option<AuditHead>, number: u64, body: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&before.map_or([0; 32], |before| before.hash.0)).update(&number.to_le_bytes()).update(body);
    Digest(*hasher.finalize().as_bytes())
}

fn link(row: &rusqlite::Row<'_>) -> rusqlite::Result<Link> {
    // A hash of another length is none that fits.
    let hash = <[u8; 32]>::try_from(row.get::<_, Vec<u8>>(2)?).unwrap_or_default();
    Ok(Link { number: row.get(0)?, body: row.get(1)?, hash: Digest(hash) })
}

#[cfg(test)]
mod tests {
    use bitacora_core::{
        fleet::{Action, Outcome, Requester},
        ids::JobId,
        time::Time,
    };

    use super::*;
    use crate::journal::Journal;

    fn record(number: u64) -> AuditRecord {
        AuditRecord { at: Time(number), by: Requester::User(1000), action: Action::JobCancelled { job: JobId::default() }, outcome: Outcome::Done }
    }

    /// Five records, as they lie on the disk after something was done to them.
    fn after(change: &str) -> Vec<Link> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let first = journal.append(1, &[], &[record(1), record(2)]).unwrap();
        assert_eq!(first.unwrap().number, 2);
        drop(journal);
        let (mut journal, _) = Journal::open(&path).unwrap();
        assert_eq!(journal.audit_head(), first);
        journal.append(1, &[], &[record(3), record(4), record(5)]).unwrap();
        assert!(journal.has_audited(first.unwrap()).unwrap());
        let strange = AuditHead { number: 2, hash: Digest::default() };
        assert!(!journal.has_audited(strange).unwrap() && !journal.has_audited(AuditHead { number: u64::MAX, ..strange }).unwrap());
        drop(journal);
        let store = Connection::open(&path).unwrap();
        assert!(store.execute("DELETE FROM audit", []).is_err() && store.execute("UPDATE audit SET body = x''", []).is_err());
        store.execute_batch("DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_cut").unwrap();
        store.execute_batch(change).unwrap();
        read(&path).unwrap()
    }

    #[test]
    fn an_untouched_chain_is_whole() {
        let links = after("");
        assert_eq!(links.len(), 5);
        assert_eq!(verify(&links).unwrap(), Some(links[4].head()));
        assert_eq!(links[2].record().unwrap(), record(3));
        assert_eq!(verify(&[]), Ok(None));
    }

    #[test]
    fn every_changed_byte_is_found() {
        let links = after("");
        for at in 0..links[2].body.len() {
            let mut links = links.clone();
            links[2].body[at] ^= 1;
            assert_eq!(verify(&links), Err(Fault::Changed(3)));
        }
        let mut links = links;
        links[0].hash.0[0] ^= 1;
        assert_eq!(verify(&links), Err(Fault::Changed(1)));
    }

    #[test]
    fn what_was_done_to_the_file_is_found_at_its_first_record() {
        let swap_all =
            "UPDATE audit SET number = 9 WHERE number = 2; UPDATE audit SET number = 2 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 9";
        let swap_bodies = "CREATE TABLE t AS SELECT body FROM audit WHERE number = 2;
            UPDATE audit SET body = (SELECT body FROM audit WHERE number = 3) WHERE number = 2; UPDATE audit SET body = (SELECT body FROM t) WHERE number = 3";
        for (change, fault) in [
            (swap_all, Fault::Changed(2)),
            (swap_bodies, Fault::Changed(2)),
            ("UPDATE audit SET body = 'text' WHERE number = 2", Fault::Changed(2)),
            ("UPDATE audit SET hash = x'00' WHERE number = 2", Fault::Changed(2)),
            ("DELETE FROM audit WHERE number = 3", Fault::Missing(3)),
            ("DELETE FROM audit WHERE number < 3", Fault::Missing(1)),
            ("DELETE FROM audit WHERE number = 3; UPDATE audit SET number = number - 1 WHERE number > 3", Fault::Changed(3)),
        ] {
            assert_eq!(verify(&after(change)), Err(fault), "{change}");
        }
        let cut = after("DELETE FROM audit WHERE number > 3");
        assert_eq!(verify(&cut).unwrap().unwrap().number, 3, "a missing end is not seen here: that is what agents are for");
    }
}
