//! Reading a stored result back: its rows, and the records they point to.

mod sweep;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use bitacora_core::{
    fleet::{Ledger, Project},
    ids::{Digest, NodeId, ProjectId},
    paths::RelativePath,
    wire::{
        record::FileRecord,
        task::{FileResult, RecordRef},
    },
};
use fleet_agent::{
    analysis,
    blobs::{BlobError, Blobs},
    cache::{Cache, CacheError},
    pack::{PackError, RecordBuffer, Records},
};

pub use self::sweep::{Extent, SweepError, Swept, sweep};
use crate::{
    control::{self, Answer, BROUGHT_MAX, Request},
    data::DataDirectory,
    manifest::{Manifest, ManifestError, Row},
};

/// Packs kept open: rows in the order of paths touch few at a time.
const PACKS_OPEN_MAX: usize = 12;

#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error("project {0} has no result yet; run `bitacora analyze {1}`")]
    None(String, String),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the last result is incomplete; run the analysis again")]
    Blob(#[from] BlobError),
    #[error("the last result is incomplete; run the analysis again")]
    Cache(#[from] CacheError),
    #[error("record {1} of pack {0} cannot be read")]
    Record(Digest, u32, #[source] PackError),
    #[error("nothing was analysed yet; run `bitacora analyze PATH`")]
    Nothing,
    #[error("no project is called {0}; `bitacora project ls` lists them")]
    NoProject(String),
    #[error("there are several projects, name one of them: {0}")]
    SeveralProjects(String),
    #[error("{wanted} is the name of project {named}, and the folder of project {folder}, called {called}; say the id of the one that is meant")]
    Ambiguous { wanted: String, named: ProjectId, folder: ProjectId, called: String },
}

/// A project by its name, its id, or the folder it is in; without a name, the only one, or the one that this process is in.
pub fn find_project<'l>(ledger: &'l Ledger, wanted: Option<&str>) -> Result<(ProjectId, &'l Project), ResultError> {
    let Some(wanted) = wanted else { return only_project(ledger) };
    by_name(ledger, wanted).or_else(|| by_folder(ledger, wanted)).ok_or_else(|| ResultError::NoProject(wanted.to_owned()))
}

/// A project that is about to be changed: what names one and is another one's folder is refused. Answers too with whether it was
/// found by its folder.
pub fn find_to_change<'l>(ledger: &'l Ledger, wanted: &str) -> Result<(ProjectId, &'l Project, bool), ResultError> {
    match (by_name(ledger, wanted), by_folder(ledger, wanted)) {
        (Some((named, _)), Some((folder, project))) if named != folder => {
            Err(ResultError::Ambiguous { wanted: wanted.to_owned(), named, folder, called: project.name.clone() })
        }
        (Some((id, project)), _) => Ok((id, project, false)),
        (None, Some((id, project))) => Ok((id, project, true)),
        (None, None) => Err(ResultError::NoProject(wanted.to_owned())),
    }
}

fn by_name<'l>(ledger: &'l Ledger, wanted: &str) -> Option<(ProjectId, &'l Project)> {
    let id = ledger.project_called(wanted)?;
    Some((id, &ledger.projects[&id]))
}

fn by_folder<'l>(ledger: &'l Ledger, wanted: &str) -> Option<(ProjectId, &'l Project)> {
    let root = std::fs::canonicalize(wanted).ok()?;
    let found = ledger.projects.iter().find(|(_, project)| root.as_os_str().as_bytes() == project.root);
    found.map(|(id, project)| (*id, project))
}

fn only_project(ledger: &Ledger) -> Result<(ProjectId, &Project), ResultError> {
    let mut projects = ledger.projects.iter();
    match (projects.next(), projects.next()) {
        (Some((id, project)), None) => Ok((*id, project)),
        (None, _) => Err(ResultError::Nothing),
        (Some(_), Some(_)) => here(ledger).ok_or_else(|| {
            let names: Vec<&str> = ledger.projects.values().map(|project| project.name.as_str()).collect();
            ResultError::SeveralProjects(names.join(", "))
        }),
    }
}

/// The project whose folder is this process's, or holds it; of folders in one another the innermost.
fn here(ledger: &Ledger) -> Option<(ProjectId, &Project)> {
    let folder = std::env::current_dir().ok()?;
    let holds = |project: &&Project| folder.starts_with(OsStr::from_bytes(&project.root));
    let found = ledger.projects.iter().filter(|(_, project)| holds(project));
    found.max_by_key(|(_, project)| project.root.len()).map(|(id, project)| (*id, project))
}

/// A result with the packs behind it.
pub struct StoredResult {
    pub manifest: Manifest,
    cache: Cache,
    /// There was none of its packs here when it was opened.
    came_bare: bool,
    open: Vec<(Digest, Records)>,
    buffer: RecordBuffer,
    /// Of the master that may bring what is not here.
    control: PathBuf,
    /// The nodes that have packs of the result, by their names.
    holders: Holders,
    /// What nobody could bring, and the nodes that have it.
    lacking: BTreeSet<Digest>,
    out_of_reach: BTreeSet<String>,
}

/// Packs that nodes are known to have, and those nodes by their names.
pub type Holders = BTreeMap<Digest, BTreeSet<String>>;

/// Files whose record was wanted and is not to be had.
#[derive(Debug, Default)]
pub struct Lacking {
    /// It is damaged or gone.
    pub lost: Vec<RelativePath>,
    /// It is on nodes that cannot be asked.
    pub away: Vec<RelativePath>,
}

impl Lacking {
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.away.is_empty()
    }
}

impl StoredResult {
    /// The last result of a project.
    pub fn last(data: &DataDirectory, project: &Project) -> Result<StoredResult, ResultError> {
        let none = || ResultError::None(project.name.clone(), String::from_utf8_lossy(&project.root).into_owned());
        let last = project.history.last().ok_or_else(none)?;
        StoredResult::open(data, read_manifest(data, last.manifest)?)
    }

    pub fn open(data: &DataDirectory, manifest: Manifest) -> Result<StoredResult, ResultError> {
        let cache = Cache::open(data.root(), analysis::fingerprint())?;
        // Before anything is read: what is found damaged is set aside, and was here.
        let packs = manifest.packs();
        let came_bare = !packs.is_empty() && packs.into_iter().all(|pack| !cache.packs().path(pack).exists());
        Ok(StoredResult {
            manifest,
            cache,
            came_bare,
            open: Vec::new(),
            buffer: RecordBuffer::default(),
            control: data.control(),
            holders: Holders::new(),
            lacking: BTreeSet::new(),
            out_of_reach: BTreeSet::new(),
        })
    }

    /// Where no master can be asked, what is on nodes is known from its ledger: it is out of reach, and not lost.
    pub fn with_holders_of(mut self, ledger: &Ledger) -> StoredResult {
        let name = |node: &NodeId| ledger.nodes.get(node).map_or_else(|| node.to_string(), |known| known.name.clone());
        let holders = self.manifest.packs().into_iter().filter_map(|pack| Some((pack, ledger.holders.get(&pack)?.iter().map(name).collect())));
        self.holders = holders.collect();
        self
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    pub fn holders(&self) -> &Holders {
        &self.holders
    }

    /// Nodes that have records which were wanted, and cannot be asked.
    pub fn out_of_reach(&self) -> &BTreeSet<String> {
        &self.out_of_reach
    }

    /// Where the master is asked that commands the nodes.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// Was it wanted, and is it with such a node alone?
    pub fn is_out_of_reach(&self, pack: Digest) -> bool {
        self.lacking.contains(&pack) && self.holders.contains_key(&pack)
    }

    pub fn is_here(&self, pack: Digest) -> bool {
        self.cache.packs().path(pack).exists()
    }

    /// Has nobody a record of it? So it is after an import without packs.
    pub fn is_without_records(&self) -> bool {
        self.came_bare && self.holders.is_empty()
    }

    /// Has the master bring what stays on its nodes. What it cannot bring it is not asked for again.
    pub fn bring(&mut self, packs: impl Iterator<Item = Digest>) {
        let wanted: BTreeSet<Digest> = packs.filter(|pack| !self.lacking.contains(pack)).collect();
        let absent: Vec<Digest> = wanted.into_iter().filter(|pack| !self.is_here(*pack)).collect();
        for packs in absent.chunks(BROUGHT_MAX) {
            match control::ask(&self.control, &Request::Bring { packs: packs.to_vec() }) {
                Ok(Some(Answer::Brought { lacking, nodes })) => {
                    self.lacking.extend(lacking);
                    self.out_of_reach.extend(nodes);
                }
                // Nobody commands the nodes, or has time for it.
                Ok(_) | Err(_) => {
                    self.out_of_reach.extend(packs.iter().filter_map(|pack| self.holders.get(pack)).flatten().cloned());
                    self.lacking.extend(packs);
                }
            }
        }
    }

    /// The analysed and wanted files, in the order of paths.
    pub fn files(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<(RelativePath, RecordRef)>, ManifestError> {
        let wanted = |row: &Row<'_>| row.record().filter(|_| wanted(row.path_bytes()));
        self.manifest.rows().filter_map(|row| wanted(&row).map(|record| Ok((row.path()?, record)))).collect()
    }

    /// Hands each file's record to `take`; answers with the files whose record is not to be had. A pack that is damaged or gone
    /// costs its own files: whoever has begun a report can end it.
    pub fn each(
        &mut self,
        files: Vec<(RelativePath, RecordRef)>,
        mut take: impl FnMut(&RelativePath, &FileRecord<&str>) -> io::Result<()>,
    ) -> io::Result<Lacking> {
        let mut lacking = Lacking::default();
        for (path, reference) in files {
            self.hand_over(path, reference, &mut lacking, &mut take)?;
        }
        Ok(lacking)
    }

    fn hand_over(
        &mut self,
        path: RelativePath,
        reference: RecordRef,
        lacking: &mut Lacking,
        take: impl FnOnce(&RelativePath, &FileRecord<&str>) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Ok(record) = self.record(reference) {
            return take(&path, &record);
        }
        let is_away = self.is_out_of_reach(reference.pack);
        if is_away { &mut lacking.away } else { &mut lacking.lost }.push(path);
        Ok(())
    }

    /// As [`StoredResult::each`], for files that come in any order: each is handed over with its number, in the order in which the
    /// records lie, so that no pack is opened twice.
    pub fn each_as_it_lies(
        &mut self,
        files: Vec<(RelativePath, RecordRef)>,
        mut take: impl FnMut(usize, &RelativePath, &FileRecord<&str>) -> io::Result<()>,
    ) -> io::Result<Lacking> {
        self.bring(files.iter().map(|(_, reference)| reference.pack));
        let mut numbered: Vec<_> = files.into_iter().enumerate().collect();
        numbered.sort_by_key(|(number, (_, reference))| (reference.pack, reference.entry, *number));
        let mut lacking = Lacking::default();
        for (number, (path, reference)) in numbered {
            self.hand_over(path, reference, &mut lacking, |path, record| take(number, path, record))?;
        }
        Ok(lacking)
    }

    /// A record, checked. The pack of one that is not as it was written is looked at as a whole: what is damaged is set
    /// aside, so that the next analysis makes it again.
    pub fn record(&mut self, RecordRef { pack: name, entry }: RecordRef) -> Result<FileRecord<&str>, ResultError> {
        let place = self.opened(name)?;
        self.open[place].1.read(entry, &mut self.buffer).map_err(|error| match self.cache.packs().read(name) {
            Ok(_) => ResultError::Record(name, entry, error),
            Err(damaged) => damaged.into(),
        })
    }

    /// Most recently used last.
    fn opened(&mut self, name: Digest) -> Result<usize, ResultError> {
        match self.open.iter().position(|(open, _)| *open == name) {
            Some(place) => self.open[place..].rotate_left(1),
            None => {
                if self.open.len() == PACKS_OPEN_MAX {
                    self.open.remove(0);
                }
                self.bring(std::iter::once(name));
                let records = self.cache.records(name).map_err(|error| self.cache.packs().read(name).map_or_else(ResultError::from, |_| error.into()))?;
                self.open.push((name, records));
            }
        }
        Ok(self.open.len() - 1)
    }
}

/// What the projects' last results and the unfinished jobs stand on.
#[derive(Debug, Default)]
pub struct Needed {
    pub results: BTreeSet<Digest>,
    pub packs: BTreeSet<Digest>,
    pub logs: BTreeSet<Digest>,
}

impl Needed {
    /// A result that is gone or damaged needs nothing: it is computed again.
    pub fn of(data: &DataDirectory, ledger: &Ledger) -> Result<Needed, ResultError> {
        // One that failed or was cancelled can be tried again, and then goes on with what it has.
        let unfinished = || ledger.jobs.values().filter(|job| !job.status.is_over() || !job.aggregate.is_empty());
        let mut needed = Needed::default();
        needed.results.extend(ledger.projects.values().filter_map(|project| project.history.last()).map(|last| last.manifest));
        needed.results.extend(unfinished().filter_map(|job| job.spec.base));
        for result in needed.results.clone() {
            match read_manifest(data, result) {
                Ok(manifest) => needed.packs.extend(manifest.packs()),
                Err(ResultError::Manifest(_) | ResultError::Blob(BlobError::Missing(_) | BlobError::Corrupt(..))) => drop(needed.results.remove(&result)),
                Err(error) => return Err(error),
            }
        }
        let sparks = ledger.jobs.values().flat_map(|job| &job.sparks);
        needed.logs.extend(sparks.filter_map(|spark| spark.command_end()).map(|ended| ended.log));
        for outcome in unfinished().flat_map(|job| job.aggregate.iter()) {
            if let FileResult::Analysed { record, .. } = &outcome.result {
                needed.packs.insert(record.pack);
            }
        }
        Ok(needed)
    }
}

pub fn read_manifest(data: &DataDirectory, name: Digest) -> Result<Manifest, ResultError> {
    Ok(Manifest::open(Blobs::open(&data.manifests())?.read(name)?)?)
}
