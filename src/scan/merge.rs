//! The result of a job: what was known, what it found, and what another job of the same project has stored meanwhile.
//!
//! Of two looks at a file the later one counts, unless it saw nothing. What a part of a tree only carried over is no look: it is
//! known by what was there before. Rows do not say when they were looked at, so that of several jobs that came between all count
//! as looked at when the last of them was.

use std::borrow::Cow;

use bitacora_core::{
    aggregate::{Aggregate, Totals},
    cache,
    ids::Digest,
    wire::task::{FailReason, FileResult, FileStat},
};

use super::{Entry, Scan, Standing, lasting_stat};
use crate::manifest::{Manifest, ManifestError, ManifestWriter, Row};

/// What a job says of its files.
#[derive(Clone, Copy)]
pub struct Outcomes<'a> {
    pub found: &'a Aggregate,
    /// Why a file has no outcome.
    pub missing: &'a dyn Fn(u32) -> String,
    /// Is it time to give up?
    pub is_late: &'a dyn Fn() -> bool,
}

#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("storing the result took too long")]
    TookTooLong,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What is there that was not when the tree was listed.
#[derive(Clone, Copy)]
pub struct Meanwhile<'a> {
    /// The last result now.
    pub stored: &'a Manifest,
    /// The one that was the last when the tree was listed, of use or not; what both of them say nobody has looked at since.
    pub before: Option<&'a Manifest>,
}

/// A row to be.
type Finding<'a> = (Option<FileStat>, Cow<'a, FileResult>);

impl Scan {
    /// What is known, what the job found, and a name for what is missing.
    pub fn merge(&self, outcomes: Outcomes<'_>, fingerprint: Digest, meanwhile: Option<Meanwhile<'_>>) -> Result<(Vec<u8>, Totals), MergeError> {
        match meanwhile.filter(|meanwhile| meanwhile.stored.fingerprint() == fingerprint) {
            None => {
                let mut writer = ManifestWriter::new(fingerprint, self.listed_at, self.other);
                for entry in &self.files {
                    let (stat, result) = self.own(entry, outcomes)?;
                    writer.push(&entry.path, stat, &result);
                }
                Ok(writer.finish())
            }
            Some(meanwhile) => self.merge_with(outcomes, fingerprint, meanwhile),
        }
    }

    fn merge_with(&self, outcomes: Outcomes<'_>, fingerprint: Digest, meanwhile: Meanwhile<'_>) -> Result<(Vec<u8>, Totals), MergeError> {
        let Meanwhile { stored: newer, before } = meanwhile;
        let is_later = newer.listed_at() > self.listed_at;
        let other = if is_later { newer.overview()?.other_by_name } else { self.other };
        // By the earlier of the two clocks no row is trusted for longer than it was.
        let mut writer = ManifestWriter::new(fingerprint, self.listed_at.min(newer.listed_at()), other);
        let mut theirs = newer.rows().peekable();
        let keep = |writer: &mut ManifestWriter, row: Row<'_>| -> Result<(), ManifestError> {
            if is_later || !self.looked_at(row.path_bytes()) {
                writer.push(&row.path()?, Some(row.stat()), &row.result()?);
            }
            Ok(())
        };
        for entry in &self.files {
            while let Some(row) = theirs.next_if(|row| row.path_bytes() < entry.path.as_bytes()) {
                keep(&mut writer, row)?;
            }
            let row = theirs.next_if(|row| row.path_bytes() == entry.path.as_bytes());
            if row.is_none() && is_later && matches!(entry.standing, Standing::Left(_)) {
                continue;
            }
            let own = self.own(entry, outcomes)?;
            let (stat, result) = match row {
                Some(row) => choose(entry, own, row, before, is_later)?,
                None => own,
            };
            writer.push(&entry.path, stat, &result);
        }
        theirs.try_for_each(|row| keep(&mut writer, row))?;
        Ok(writer.finish())
    }

    /// What this scan and its job say of a file.
    fn own<'a>(&'a self, entry: &'a Entry, outcomes: Outcomes<'a>) -> Result<Finding<'a>, MergeError> {
        if (outcomes.is_late)() {
            return Err(MergeError::TookTooLong);
        }
        Ok(match &entry.standing {
            Standing::Decided(result) => (Some(entry.stat), Cow::Borrowed(result)),
            Standing::Known(row) | Standing::Left(row) => {
                let row = self.base_manifest().and_then(|manifest| manifest.row(*row)).expect("what is known is in the base");
                (Some(entry.stat), Cow::Owned(row.result()?))
            }
            Standing::Work(index) => match outcomes.found.get(*index) {
                Some(outcome) => (outcome.stat.or(lasting_stat(entry, &outcome.result)), Cow::Borrowed(&outcome.result)),
                None => (None, Cow::Owned(FileResult::Failed(FailReason::Missing((outcomes.missing)(*index))))),
            },
        })
    }

    fn looked_at(&self, path: &[u8]) -> bool {
        self.selection.as_ref().is_none_or(|selection| selection.includes(path))
    }
}

fn choose<'a>(entry: &Entry, own: Finding<'a>, row: Row<'_>, before: Option<&Manifest>, is_later: bool) -> Result<Finding<'a>, ManifestError> {
    let theirs = row.result()?;
    let asked = !matches!(entry.standing, Standing::Left(_));
    let before = before.and_then(|before| before.find(row.path_bytes(), row.number()));
    let is_news = before.is_none_or(|before| before.result().is_ok_and(|before| before != theirs));
    let (own_lasts, theirs_last) = (cache::is_lasting(&own.1), cache::is_lasting(&theirs));
    let take_theirs = match (asked, is_news) {
        (false, _) => true,
        (true, false) => false,
        (true, true) if is_later => theirs_last || !own_lasts,
        (true, true) => theirs_last && !own_lasts && row.stat() == entry.stat,
    };
    Ok(if take_theirs { (Some(row.stat()), Cow::Owned(theirs)) } else { own })
}

#[cfg(test)]
mod tests {
    use bitacora_core::{
        paths::RelativePath,
        time::Time,
        wire::{
            record::FileSummary,
            task::{FileOutcome, RecordRef},
        },
    };

    use super::*;
    use crate::selection::Selection;

    const ENGINE: Digest = Digest([7; 32]);

    fn path(name: &str) -> RelativePath {
        RelativePath::new(name.into()).unwrap()
    }

    /// A file in its `state`: content, looks and figures all follow from it.
    fn result(state: u8) -> FileResult {
        let record = RecordRef { pack: Digest([state; 32]), entry: 0 };
        FileResult::Analysed { content: Digest([state; 32]), language: "c".into(), record, summary: FileSummary::default() }
    }

    fn stat(state: u8) -> FileStat {
        FileStat { inode: state.into(), ..FileStat::default() }
    }

    fn manifest(listed_at: u64, files: &[(&str, u8)]) -> Manifest {
        let mut writer = ManifestWriter::new(ENGINE, Time(listed_at), 0);
        files.iter().for_each(|(name, state)| writer.push(&path(name), Some(stat(*state)), &result(*state)));
        Manifest::open(writer.finish().0).unwrap()
    }

    /// The result that was there before has `a`, `b` and `c`, each in state 1.
    fn before() -> Manifest {
        manifest(10, &[("a", 1), ("b", 1), ("c", 1)])
    }

    fn scan(listed_at: u64, only: Option<&str>, files: Vec<(&str, u8, Standing)>) -> Scan {
        let files = files.into_iter().map(|(name, state, standing)| Entry { path: path(name), stat: stat(state), standing });
        Scan {
            listed_at: Time(listed_at),
            files: files.collect(),
            other: 0,
            base: Some((Digest([1; 32]), before())),
            latest: Some(Digest([1; 32])),
            selection: only.map(|only| Selection::new(std::path::Path::new("/nowhere"), &[only.to_owned()]).unwrap()),
            listing: Digest::default(),
            unchanged: false,
        }
    }

    fn found(results: &[(u32, FileResult, u8)]) -> Aggregate {
        let mut found = Aggregate::default();
        results.iter().for_each(|(index, result, state)| found.absorb(FileOutcome { index: *index, stat: Some(stat(*state)), result: result.clone() }));
        found
    }

    /// The state of each file in the merged result; zero for one that failed.
    fn merged(scan: &Scan, found: &Aggregate, newer: &Manifest) -> Vec<(String, u8)> {
        let outcomes = Outcomes { found, missing: &|_| "it is missing".to_owned(), is_late: &|| false };
        let meanwhile = Meanwhile { stored: newer, before: Some(&before()) };
        let merged = Manifest::open(scan.merge(outcomes, ENGINE, Some(meanwhile)).unwrap().0).unwrap();
        merged.rows().map(|row| (String::from_utf8(row.path_bytes().to_vec()).unwrap(), if row.is_analysed() { row.content().0[0] } else { 0 })).collect()
    }

    fn states(files: &[(&str, u8)]) -> Vec<(String, u8)> {
        files.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect()
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let whole = scan(20, None, vec![("a", 2, Standing::Work(0)), ("b", 1, Standing::Known(1)), ("c", 1, Standing::Known(2))]);
        let (found, looks, newer) = (found(&[(0, result(2), 2)]), std::cell::Cell::new(0), manifest(15, &[("a", 1)]));
        let is_late = || looks.replace(looks.get() + 1) >= 2;
        let outcomes = Outcomes { found: &found, missing: &|_| "it is missing".to_owned(), is_late: &is_late };
        for meanwhile in [None, Some(Meanwhile { stored: &newer, before: None })] {
            looks.set(0);
            assert!(matches!(whole.merge(outcomes, ENGINE, meanwhile), Err(MergeError::TookTooLong)));
            assert_eq!(looks.get(), 3, "in the middle of it");
        }
    }

    #[test]
    fn a_part_takes_its_place_in_the_whole_that_came_between() {
        let part = scan(20, Some("b"), vec![("a", 1, Standing::Left(0)), ("b", 2, Standing::Work(0)), ("c", 1, Standing::Left(2))]);
        let found = found(&[(0, result(2), 2)]);
        // Listed before it or after it: what it did not look at is as the other one says.
        for listed_at in [15, 25] {
            let whole = manifest(listed_at, &[("a", 3), ("b", 1), ("d", 3)]);
            let mut expected = vec![("a", 3), ("b", 2), ("d", 3)];
            if listed_at < 20 {
                expected.insert(2, ("c", 1));
            }
            assert_eq!(merged(&part, &found, &whole), states(&expected), "at {listed_at}");
        }
        assert_eq!(merged(&part, &found, &manifest(25, &[("a", 1), ("b", 9), ("c", 1)])), states(&[("a", 1), ("b", 9), ("c", 1)]), "the later look counts");
        assert_eq!(merged(&part, &found, &manifest(15, &[("a", 1), ("b", 9), ("c", 1)])), states(&[("a", 1), ("b", 2), ("c", 1)]));
    }

    #[test]
    fn the_whole_takes_in_the_part_that_came_between() {
        let files = vec![("a", 2, Standing::Work(0)), ("b", 1, Standing::Known(1)), ("d", 2, Standing::Work(1))];
        let whole = scan(20, None, files);
        let all = found(&[(0, result(2), 2), (1, result(2), 2)]);
        let part = manifest(25, &[("a", 1), ("b", 9), ("c", 1)]);
        assert_eq!(
            merged(&whole, &all, &part),
            states(&[("a", 2), ("b", 9), ("c", 1), ("d", 2)]),
            "what the part left as it was is no news, and what it still saw is there"
        );
        let earlier = manifest(15, &[("a", 1), ("b", 9), ("c", 1)]);
        assert_eq!(merged(&whole, &all, &earlier), states(&[("a", 2), ("b", 1), ("d", 2)]), "the whole looked later");
        let some = found(&[(0, FileResult::Failed(FailReason::Changing), 2)]);
        assert_eq!(merged(&whole, &some, &manifest(15, &[("a", 2), ("d", 3)])), states(&[("a", 2), ("b", 1), ("d", 0)]), "of the same look what was seen");
        assert_eq!(merged(&whole, &some, &manifest(25, &[("a", 3), ("d", 3)])), states(&[("a", 3), ("b", 1), ("d", 3)]));
    }

    #[test]
    fn what_a_part_carried_over_is_no_news_to_a_whole_that_believes_no_earlier_result() {
        let files = vec![("a", 2, Standing::Work(0)), ("b", 2, Standing::Work(1)), ("c", 2, Standing::Work(2))];
        let whole = Scan { base: None, ..scan(20, None, files) };
        let all = found(&[(0, result(2), 2), (1, result(2), 2), (2, result(2), 2)]);
        let part = manifest(25, &[("a", 1), ("b", 9), ("c", 1)]);
        assert_eq!(merged(&whole, &all, &part), states(&[("a", 2), ("b", 9), ("c", 2)]));
    }

    #[test]
    fn a_result_of_another_engine_is_of_no_use() {
        let whole = scan(20, None, vec![("a", 2, Standing::Work(0))]);
        let outcomes = found(&[(0, result(2), 2)]);
        let outcomes = Outcomes { found: &outcomes, missing: &|_| String::new(), is_late: &|| false };
        let newer = manifest(25, &[("a", 9), ("z", 9)]);
        let merged = Manifest::open(whole.merge(outcomes, Digest([8; 32]), Some(Meanwhile { stored: &newer, before: None })).unwrap().0).unwrap();
        assert_eq!(merged.len(), 1);
    }
}
