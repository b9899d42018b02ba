//! What anybody has found of a content, under whatever name: rows of the projects' last results, and records of the packs here.
//!
//! A row has all that a result says of a file, so that the record itself need not be here.

use std::collections::{HashMap, HashSet};

use bitacora_core::{ids::Digest, wire::task::FileResult};
use fleet_agent::cache::{Cache, CacheIndex};

use super::lost_packs;
use crate::manifest::Manifest;

/// Where a master looks before it has a file analysed.
pub struct Found<'a> {
    cache: &'a Cache,
    records: CacheIndex,
    results: Vec<Manifest>,
    /// By content: the number of a result, and of a row in it.
    rows: HashMap<Digest, (u32, u32)>,
    /// Contents that an unfinished job has its sparks for, by its listing: asked for again, it is the same job with the same files.
    begun: &'a HashMap<Digest, HashSet<Digest>>,
}

impl<'a> Found<'a> {
    /// For somebody who wants everything analysed again.
    pub fn nothing(cache: &'a Cache, begun: &'a HashMap<Digest, HashSet<Digest>>) -> Found<'a> {
        Found { cache, records: CacheIndex::default(), results: Vec::new(), rows: HashMap::new(), begun }
    }

    /// In `results`, as far as their packs are here or held by nodes, and in the packs that are here.
    pub fn among(cache: &'a Cache, results: Vec<Manifest>, held: &HashSet<Digest>, begun: &'a HashMap<Digest, HashSet<Digest>>) -> Found<'a> {
        let results: Vec<Manifest> = results.into_iter().filter(|result| result.fingerprint() == cache.fingerprint()).collect();
        let mut rows = HashMap::new();
        for (number, result) in (0..).zip(&results) {
            let lost = lost_packs(result, cache.packs(), held);
            let there = |row: &crate::manifest::Row<'_>| row.record_place().is_some_and(|(pack, _)| !lost.contains(&pack));
            rows.extend(result.rows().filter(there).map(|row| (row.content(), (number, row.number()))));
        }
        // Packs that nobody can look through answer for nothing, and cost a computation.
        let records = cache.index().unwrap_or_default();
        Found { cache, records, results, rows, begun }
    }

    /// What would come of these bytes.
    pub fn outcome(&self, listing: Digest, content: Digest, language: &str) -> Option<FileResult> {
        if self.begun.get(&listing).is_some_and(|begun| begun.contains(&content)) {
            return None;
        }
        self.in_results(content, language).or_else(|| {
            let (record, summary) = self.cache.find(&self.records, content, language)?;
            Some(FileResult::Analysed { content, language: language.to_owned(), record, summary })
        })
    }

    fn in_results(&self, content: Digest, language: &str) -> Option<FileResult> {
        let (result, row) = *self.rows.get(&content)?;
        let row = self.results[result as usize].row(row)?;
        row.result().ok().filter(|_| row.language() == language)
    }
}
