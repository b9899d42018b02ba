//! The journal in SQLite: write-ahead log, synced at each commit, one transaction a batch.

use std::path::{Path, PathBuf};

use bitacora_core::{
    fleet::{AuditRecord, Fact, Ledger},
    wire::message::AuditHead,
};
use fleet_agent::crash::Point;
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig, params};

use super::{Hear, JournalError, RECORD_VERSION, ROW_FACTS_MAX, Recovered, SqliteError, audit, replay};

/// A row's sequence is that of its last fact.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS facts (sequence INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS snapshots (sequence INTEGER PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL);
";

/// An open journal.
pub struct Journal {
    store: Connection,
    path: PathBuf,
    last: u64,
    since_snapshot: u64,
    audit_head: Option<AuditHead>,
}

impl Journal {
    /// Opens or creates the journal, and reads it.
    pub fn open(path: &Path) -> Result<(Journal, Recovered), JournalError> {
        Journal::open_and_tell(path, &mut |_, _| {})
    }

    /// The same, with every fact told that the journal still holds.
    pub fn open_and_tell(path: &Path, hear: Hear<'_>) -> Result<(Journal, Recovered), JournalError> {
        let store = Connection::open(path).map_err(error("open", path))?;
        prepare(&store).map_err(error("prepare", path))?;
        let (mut journal, recovered) = Journal::recover(store, path, hear)?;
        journal.audit_head = audit::head(&journal.store).map_err(error("read", path))?;
        Ok((journal, recovered))
    }

    /// Reads the journal as it is now and writes nothing; `None` when there is none yet.
    pub fn read(path: &Path) -> Result<Option<Ledger>, JournalError> {
        Journal::read_and_tell(path, &mut |_, _| {})
    }

    /// The same, with every fact told that it still holds.
    pub fn read_and_tell(path: &Path, hear: Hear<'_>) -> Result<Option<Ledger>, JournalError> {
        if !path.exists() {
            return Ok(None);
        }
        let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(error("open", path))?;
        store.busy_timeout(std::time::Duration::from_secs(5)).map_err(error("open", path))?;
        let tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('facts', 'snapshots')";
        if store.query_row(tables, [], |row| row.get::<_, u32>(0)).map_err(error("read", path))? < 2 {
            // Another process is making it at this moment.
            return Ok(None);
        }
        Ok(Some(Journal::recover(store, path, hear)?.1.ledger))
    }

    fn recover(store: Connection, path: &Path, hear: Hear<'_>) -> Result<(Journal, Recovered), JournalError> {
        // One view of the file: between two of these queries a master may take a snapshot and drop the facts before it.
        let view = store.unchecked_transaction().map_err(error("read", path))?;
        let newest = |table: &str| format!("SELECT max(version) FROM {table}");
        for table in ["facts", "snapshots"] {
            let found: Option<u32> = store.query_row(&newest(table), [], |row| row.get(0)).map_err(error("read", path))?;
            if let Some(found) = found.filter(|found| *found > RECORD_VERSION) {
                return Err(JournalError::Newer { path: path.to_owned(), found, known: RECORD_VERSION });
            }
        }
        let (from, ledger) = read_snapshot(&store, path)?;
        let recovered = {
            let mut batches = store.prepare("SELECT sequence, version, body FROM facts WHERE sequence > ?1 ORDER BY sequence").map_err(error("read", path))?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?));
            let rows = batches.query_map([from], row).map_err(error("read", path))?;
            let batches = rows.map(|row| row.map_err(error("read", path)).and_then(|(sequence, version, body)| decode(&body, version, sequence, path)));
            replay(ledger, batches, hear)?
        };
        let last = last_record(&store).map_err(error("read", path))?.map(|(sequence, _)| sequence);
        drop(view);
        let journal = Journal { store, path: path.to_owned(), last: last.unwrap_or(0).max(from), since_snapshot: recovered.replayed, audit_head: None };
        Ok((journal, recovered))
    }

    /// Facts since the newest snapshot.
    pub fn since_snapshot(&self) -> u64 {
        self.since_snapshot
    }

    /// The audit's last record.
    pub fn audit_head(&self) -> Option<AuditHead> {
        self.audit_head
    }

    /// Is that a record of the audit?
    pub fn has_audited(&self, head: AuditHead) -> Result<bool, JournalError> {
        audit::has(&self.store, head).map_err(error("read", &self.path))
    }

    /// Takes the audit of a fleet that goes on here. One that is there already must be the same, or begin like it: an import that
    /// was interrupted is done again.
    pub fn adopt_audit(&mut self, links: &[audit::Link]) -> Result<(), JournalError> {
        let head = links.last().map(audit::Link::head);
        if self.audit_head.is_some() {
            let is_same = head.map(|head| self.has_audited(head)).transpose()?.unwrap_or(true);
            return if is_same { Ok(()) } else { Err(JournalError::Audited(self.path.clone())) };
        }
        let path = self.path.clone();
        let transaction = self.store.transaction().map_err(error("write", &path))?;
        audit::adopt(&transaction, links).map_err(error("write", &path))?;
        transaction.commit().map_err(error("write", &path))?;
        self.audit_head = head;
        Ok(())
    }

    /// Commits a batch and what the audit has to tell of it, synced, or nothing of either. Answers with the audit's last record.
    pub fn append(&mut self, epoch: u32, facts: &[Fact], records: &[AuditRecord]) -> Result<Option<AuditHead>, JournalError> {
        let path = self.path.clone();
        let write = error("write", &path);
        let transaction = self.store.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(write)?;
        let write = error("write", &path);
        let (found, found_epoch) = last_record(&transaction).map_err(write)?.unwrap_or_default();
        if found != self.last || found_epoch > epoch {
            return Err(JournalError::Overtaken { path, expected: self.last, found });
        }
        let mut last = self.last;
        Point::BatchBegun.reached();
        for batch in facts.chunks(ROW_FACTS_MAX) {
            last += batch.len() as u64;
            let body = rmp_serde::to_vec_named(batch).expect("facts in memory can be written to memory");
            let mut insert = transaction.prepare_cached("INSERT INTO facts VALUES (?1, ?2, ?3, ?4)").map_err(error("write", &path))?;
            insert.execute(params![last, epoch, RECORD_VERSION, body]).map_err(error("write", &path))?;
        }
        let audit_head = audit::append(&transaction, self.audit_head, records).map_err(error("write", &path))?;
        Point::BatchWritten.reached();
        transaction.commit().map_err(error("write", &path))?;
        Point::BatchCommitted.reached();
        self.last = last;
        self.since_snapshot += facts.len() as u64;
        self.audit_head = audit_head;
        Ok(audit_head)
    }

    /// Writes the state and drops the facts that led to it.
    pub fn snapshot(&mut self, ledger: &Ledger) -> Result<(), JournalError> {
        let body = rmp_serde::to_vec_named(ledger).expect("a ledger in memory can be written to memory");
        let path = self.path.clone();
        let transaction = self.store.transaction().map_err(error("write", &path))?;
        transaction.execute("DELETE FROM snapshots", []).map_err(error("write", &path))?;
        transaction.execute("INSERT INTO snapshots VALUES (?1, ?2, ?3)", params![self.last, RECORD_VERSION, body]).map_err(error("write", &path))?;
        transaction.execute("DELETE FROM facts WHERE sequence < ?1", [self.last]).map_err(error("write", &path))?;
        Point::SnapshotWritten.reached();
        transaction.commit().map_err(error("write", &path))?;
        Point::SnapshotCommitted.reached();
        self.since_snapshot = 0;
        Ok(())
    }
}

/// The last fact's sequence and epoch, or those of the snapshot when nothing came after it.
fn last_record(store: &Connection) -> rusqlite::Result<Option<(u64, u32)>> {
    // Asked before each commit.
    let found = |newest: &str| store.prepare_cached(newest)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional();
    match found("SELECT sequence, epoch FROM facts ORDER BY sequence DESC LIMIT 1")? {
        None => found("SELECT sequence, 0 FROM snapshots ORDER BY sequence DESC LIMIT 1"),
        last => Ok(last),
    }
}

fn prepare(store: &Connection) -> rusqlite::Result<()> {
    store.busy_timeout(std::time::Duration::from_secs(5))?;
    store.pragma_update(None, "journal_mode", "WAL")?;
    store.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint at each end would sync the whole file once more; the log is read back just as well.
    store.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    store.execute_batch(SCHEMA)?;
    store.execute_batch(audit::SCHEMA)
}

fn read_snapshot(store: &Connection, path: &Path) -> Result<(u64, Ledger), JournalError> {
    let newest = "SELECT sequence, body FROM snapshots ORDER BY sequence DESC LIMIT 1";
    let row = store.query_row(newest, [], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional().map_err(error("read", path))?;
    let Some((sequence, body)) = row else { return Ok((0, Ledger::default())) };
    let ledger = rmp_serde::from_slice(&body).map_err(|e| JournalError::Damaged { path: path.to_owned(), sequence, reason: e.to_string() })?;
    Ok((sequence, ledger))
}

fn decode(body: &[u8], version: u32, sequence: u64, path: &Path) -> Result<Vec<Fact>, JournalError> {
    let facts = if version == 1 { rmp_serde::from_slice(body).map(|fact| vec![fact]) } else { rmp_serde::from_slice(body) };
    facts.map_err(|e| JournalError::Damaged { path: path.to_owned(), sequence, reason: e.to_string() })
}

pub(super) fn error(operation: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> JournalError + Clone + use<> {
    let path = path.to_owned();
    move |source| JournalError::Store { operation, path, source: SqliteError(source) }
}

#[cfg(test)]
mod tests {
    use bitacora_core::{
        ids::{Epoch, ProjectId},
        time::Time,
    };

    use super::*;

    fn began(epoch: u32) -> Fact {
        Fact::EpochBegan { epoch: Epoch(epoch), at: Time(1) }
    }

    fn added(counter: u32) -> Fact {
        Fact::ProjectAdded { project: ProjectId { epoch: Epoch(1), counter }, name: counter.to_string(), root: b"/".to_vec() }
    }

    fn journal() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        (folder, path)
    }

    #[test]
    fn a_snapshot_and_what_came_after_it_are_the_whole() {
        let (_folder, path) = journal();
        let (mut journal, recovered) = Journal::open(&path).unwrap();
        let mut ledger = recovered.ledger;
        for batch in [vec![began(1), added(1)], vec![added(2)], vec![added(3)]] {
            batch.iter().for_each(|fact| ledger.apply(fact));
            journal.append(1, &batch, &[]).unwrap();
            if ledger.projects.len() == 2 {
                journal.snapshot(&ledger).unwrap();
            }
        }
        drop(journal);
        let mut told = Vec::new();
        let (_, recovered) = Journal::open_and_tell(&path, &mut |fact, ledger| told.push((fact.clone(), ledger.projects.len()))).unwrap();
        assert_eq!((recovered.ledger, recovered.replayed), (ledger, 1));
        assert_eq!(told, [(added(3), 3)], "with the state that it leads to");
    }

    #[test]
    fn rows_of_one_fact_as_version_1_wrote_them_are_read_too() {
        let (_folder, path) = journal();
        let mut ledger = Journal::open(&path).unwrap().1.ledger;
        let facts = [began(1), added(1), added(2)];
        let insert = "INSERT INTO facts VALUES (?1, 1, 1, ?2)";
        let store = Connection::open(&path).unwrap();
        for (sequence, fact) in (1_u64..).zip(&facts[..2]) {
            store.execute(insert, params![sequence, rmp_serde::to_vec_named(fact).unwrap()]).unwrap();
        }
        Journal::open(&path).unwrap().0.append(1, &facts[2..], &[]).unwrap();
        facts.iter().for_each(|fact| ledger.apply(fact));
        let (_, recovered) = Journal::open(&path).unwrap();
        assert_eq!((recovered.ledger, recovered.replayed), (ledger, 3));
    }

    #[test]
    fn a_batch_of_more_facts_than_a_row_holds_is_whole() {
        let (_folder, path) = journal();
        let (mut journal, recovered) = Journal::open(&path).unwrap();
        let mut ledger = recovered.ledger;
        let facts: Vec<Fact> = (0..=ROW_FACTS_MAX as u32).map(added).collect();
        journal.append(1, &facts, &[]).unwrap();
        journal.append(1, &[began(2)], &[]).unwrap();
        facts.iter().chain(&[began(2)]).for_each(|fact| ledger.apply(fact));
        let (_, recovered) = Journal::open(&path).unwrap();
        assert_eq!((recovered.ledger, recovered.replayed), (ledger, facts.len() as u64 + 1));
    }

    #[test]
    fn of_two_writers_the_second_is_told() {
        let (_folder, path) = journal();
        let (mut first, _) = Journal::open(&path).unwrap();
        let (mut second, _) = Journal::open(&path).unwrap();
        first.append(1, &[began(1)], &[]).unwrap();
        assert!(matches!(second.append(1, &[began(1)], &[]), Err(JournalError::Overtaken { expected: 0, found: 1, .. })));
        let (mut third, _) = Journal::open(&path).unwrap();
        assert!(matches!(third.append(0, &[added(1)], &[]), Err(JournalError::Overtaken { .. })), "an earlier epoch writes nothing");
        third.append(2, &[began(2)], &[]).unwrap();
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        let (_folder, path) = journal();
        Journal::open(&path).unwrap().0.append(1, &[began(1)], &[]).unwrap();
        Connection::open(&path).unwrap().execute("UPDATE facts SET version = 99", []).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Newer { found: 99, known: RECORD_VERSION, .. })));
    }

    /// A reader beside a writer that takes snapshots all the time never sees facts without what they stand on.
    #[test]
    fn a_reader_sees_the_journal_at_one_moment() {
        let (_folder, path) = journal();
        let (mut journal, recovered) = Journal::open(&path).unwrap();
        let mut ledger = recovered.ledger;
        let writer = std::thread::spawn(move || {
            for counter in 1..150 {
                let batch = [added(counter), Fact::ProjectRenamed { project: ProjectId { epoch: Epoch(1), counter }, name: "x".into() }];
                batch.iter().for_each(|fact| ledger.apply(fact));
                journal.append(1, &batch, &[]).unwrap();
                journal.snapshot(&ledger).unwrap();
            }
        });
        while !writer.is_finished() {
            let read = Journal::read(&path).unwrap().unwrap_or_default();
            assert!(read.projects.values().all(|project| project.name == "x"));
        }
        writer.join().unwrap();
    }
}
