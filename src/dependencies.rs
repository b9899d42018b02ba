//! Which files import one another, as far as the last result and the tree's paths tell.

mod cycles;
mod resolve;

use std::{
    collections::{BTreeSet, HashMap},
    io,
};

use bitacora_core::{
    fleet::{ListedFile, Project, partition},
    paths::RelativePath,
};

use self::resolve::Resolver;
use crate::{
    data::DataDirectory,
    manifest::{ManifestError, Row},
    result::{Lacking, ResultError, StoredResult},
};

/// Gives files that import one another, directly or through others, the same number. A guess costs nothing but speed.
pub fn cluster(data: &DataDirectory, project: &Project, files: &mut [ListedFile]) {
    let paths: Vec<String> = files.iter().map(|file| file.path.to_text()).collect();
    let resolver = Resolver::new(&paths);
    let index: HashMap<Vec<u8>, u32> = (0..).zip(files.iter()).map(|(number, file)| (file.path.as_bytes().to_vec(), number)).collect();
    let mut links = Vec::new();
    let Ok(mut result) = StoredResult::last(data, project) else { return };
    // A result that cannot be read says nothing; folders stand in.
    let Ok(wanted) = result.files(|path| index.contains_key(path)) else { return };
    let read = result.each(wanted, |path, record| {
        let from = index[path.as_bytes()];
        // Of several files, a package's, one brings all of them near.
        let meant = record.imports.iter().filter_map(|target| resolver.resolve(from, record.language, target)?.first().copied());
        links.extend(meant.map(|to| (from, to)));
        Ok(())
    });
    if read.is_ok_and(|lost| lost.is_empty()) {
        let clusters = partition::clusters(files.len() as u32, &links);
        files.iter_mut().zip(clusters).for_each(|(file, cluster)| file.cluster = cluster);
    }
}

/// What the files of a result import.
pub struct Dependencies {
    /// In the order of paths; the numbers below are places here.
    pub files: Vec<Importing>,
    /// By how many files each is imported.
    pub used_by: Vec<u32>,
}

/// One file.
pub struct Importing {
    pub path: RelativePath,
    pub language: String,
    /// Files of the tree, sorted.
    pub uses: Vec<u32>,
    /// What is named and no file of the tree, or none that can be told.
    pub outside: BTreeSet<Box<str>>,
}

/// Files that need one another.
pub struct Circle {
    pub members: Vec<u32>,
    /// A shortest way through some of them and back to the first.
    pub shortest: Vec<u32>,
}

impl Dependencies {
    /// Of all analysed files; with those whose record is not to be had.
    pub fn of(result: &mut StoredResult) -> Result<(Dependencies, Lacking), DependencyError> {
        let rows = result.manifest.rows().filter(Row::is_analysed);
        let named: Vec<(RelativePath, String)> = rows.map(|row| Ok((row.path()?, row.language().to_owned()))).collect::<Result<_, ManifestError>>()?;
        let paths: Vec<String> = named.iter().map(|(path, _)| path.to_text()).collect();
        let mut files: Vec<Importing> =
            named.into_iter().map(|(path, language)| Importing { path, language, uses: Vec::new(), outside: BTreeSet::new() }).collect();
        let resolver = Resolver::new(&paths);
        let mut named_by = vec![None; paths.len()];
        let wanted = result.files(|_| true)?;
        let lacking = result.each_as_it_lies(wanted, |number, _, record| {
            let file = &mut files[number];
            for target in &record.imports {
                match resolver.resolve(number as u32, record.language, target) {
                    None => drop(file.outside.insert((*target).into())),
                    // Once, however often a file names it: a hostile one names a package again and again.
                    Some(found) => file.uses.extend(found.into_iter().filter(|to| named_by[*to as usize].replace(number) != Some(number))),
                }
            }
            file.uses.sort_unstable();
            Ok(())
        })?;
        let mut used_by = vec![0; files.len()];
        files.iter().flat_map(|file| &file.uses).for_each(|used| used_by[*used as usize] += 1);
        Ok((Dependencies { files, used_by }, lacking))
    }

    /// Those with the most members first.
    pub fn circles(&self) -> Vec<Circle> {
        let edges: Vec<&[u32]> = self.files.iter().map(|file| file.uses.as_slice()).collect();
        cycles::components(&edges).into_iter().map(|members| Circle { shortest: cycles::shortest(&edges, &members), members }).collect()
    }
}

/// Why they cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DependencyError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Result(#[from] ResultError),
    #[error("the records of the result cannot be read")]
    Read(#[from] io::Error),
}
