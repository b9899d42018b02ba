//! The journal in SQLite: write-ahead log, synced at each commit, one transaction a batch.

use std::path::{Path, PathBuf};

use bitacora_core::fleet::{Fact, Ledger};
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig, params};

use super::{JournalError, RECORD_VERSION, Recovered, replay};

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
}

impl Journal {
    /// Opens or creates the journal, and reads it.
    pub fn open(path: &Path) -> Result<(Journal, Recovered), JournalError> {
        let store = Connection::open(path).map_err(error("open", path))?;
        prepare(&store).map_err(error("prepare", path))?;
        Journal::recover(store, path)
    }

    /// Reads the journal as it is now and writes nothing; `None` when there is none yet.
    pub fn read(path: &Path) -> Result<Option<Ledger>, JournalError> {
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
        Ok(Some(Journal::recover(store, path)?.1.ledger))
    }

    fn recover(store: Connection, path: &Path) -> Result<(Journal, Recovered), JournalError> {
        let newest = |table: &str| format!("SELECT max(version) FROM {table}");
        for table in ["facts", "snapshots"] {
            let found: Option<u32> = store.query_row(&newest(table), [], |row| row.get(0)).map_err(error("read", path))?;
            if let Some(found) = found.filter(|found| *found > RECORD_VERSION) {
                return Err(JournalError::Newer { path: path.to_owned(), found, known: RECORD_VERSION });
            }
        }
        let (from, ledger) = read_snapshot(&store, path)?;
        let recovered = {
            let mut facts = store.prepare("SELECT sequence, body FROM facts WHERE sequence > ?1 ORDER BY sequence").map_err(error("read", path))?;
            let rows = facts.query_map([from], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?))).map_err(error("read", path))?;
            replay(ledger, rows.map(|row| row.map_err(error("read", path)).and_then(|(sequence, body)| decode(&body, sequence, path))))?
        };
        let last: Option<u64> = store.query_row("SELECT max(sequence) FROM facts", [], |row| row.get(0)).map_err(error("read", path))?;
        let journal = Journal { store, path: path.to_owned(), last: last.unwrap_or(0).max(from), since_snapshot: recovered.replayed };
        Ok((journal, recovered))
    }

    /// Facts since the newest snapshot.
    pub fn since_snapshot(&self) -> u64 {
        self.since_snapshot
    }

    /// Commits a batch, synced, or nothing of it.
    pub fn append(&mut self, epoch: u32, facts: &[Fact]) -> Result<(), JournalError> {
        let path = self.path.clone();
        let write = error("write", &path);
        let transaction = self.store.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(write)?;
        let write = error("write", &path);
        let found: Option<u64> = transaction.query_row("SELECT max(sequence) FROM facts", [], |row| row.get(0)).optional().map_err(write)?.flatten();
        if found.is_some_and(|found| found > self.last) {
            return Err(JournalError::Overtaken { path, expected: self.last, found: found.unwrap_or(0) });
        }
        for (sequence, fact) in (self.last + 1..).zip(facts) {
            let body = rmp_serde::to_vec_named(fact).expect("a fact in memory can be written to memory");
            let mut insert = transaction.prepare_cached("INSERT INTO facts VALUES (?1, ?2, ?3, ?4)").map_err(error("write", &path))?;
            insert.execute(params![sequence, epoch, RECORD_VERSION, body]).map_err(error("write", &path))?;
        }
        transaction.commit().map_err(error("write", &path))?;
        self.last += facts.len() as u64;
        self.since_snapshot += facts.len() as u64;
        Ok(())
    }

    /// Writes the state and drops the facts that led to it.
    pub fn snapshot(&mut self, ledger: &Ledger) -> Result<(), JournalError> {
        let body = rmp_serde::to_vec_named(ledger).expect("a ledger in memory can be written to memory");
        let path = self.path.clone();
        let transaction = self.store.transaction().map_err(error("write", &path))?;
        transaction.execute("DELETE FROM snapshots", []).map_err(error("write", &path))?;
        transaction.execute("INSERT INTO snapshots VALUES (?1, ?2, ?3)", params![self.last, RECORD_VERSION, body]).map_err(error("write", &path))?;
        transaction.execute("DELETE FROM facts WHERE sequence < ?1", [self.last]).map_err(error("write", &path))?;
        transaction.commit().map_err(error("write", &path))?;
        self.since_snapshot = 0;
        Ok(())
    }
}

fn prepare(store: &Connection) -> rusqlite::Result<()> {
    store.busy_timeout(std::time::Duration::from_secs(5))?;
    store.pragma_update(None, "journal_mode", "WAL")?;
    store.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint at each end would sync the whole file once more; the log is read back just as well.
    store.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    store.execute_batch(SCHEMA)
}

fn read_snapshot(store: &Connection, path: &Path) -> Result<(u64, Ledger), JournalError> {
    let newest = "SELECT sequence, body FROM snapshots ORDER BY sequence DESC LIMIT 1";
    let row = store.query_row(newest, [], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional().map_err(error("read", path))?;
    let Some((sequence, body)) = row else { return Ok((0, Ledger::default())) };
    let ledger = rmp_serde::from_slice(&body).map_err(|e| JournalError::Damaged { path: path.to_owned(), sequence, reason: e.to_string() })?;
    Ok((sequence, ledger))
}

fn decode(body: &[u8], sequence: u64, path: &Path) -> Result<Fact, JournalError> {
    rmp_serde::from_slice(body).map_err(|e| JournalError::Damaged { path: path.to_owned(), sequence, reason: e.to_string() })
}

fn error(operation: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> JournalError + Clone + use<> {
    let path = path.to_owned();
    move |source| JournalError::Store { operation, path, source }
}
