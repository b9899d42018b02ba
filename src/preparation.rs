//! From what somebody wants analysed to a job: the tree is listed and compared with its last result, and what is left is the work.
//!
//! The one way to that, for a command that is its own master and for a master that serves. It submits nothing, and decides
//! nothing about the fleet.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::Path,
};

use bitacora_core::{
    fleet::{JobSpec, Ledger, ListedFile, Partitioning, Project, Requester},
    ids::{Digest, ProjectId},
    time::Time,
};
use fleet_agent::{
    analysis,
    cache::{Cache, CacheError},
    listing::ListingError,
    root::Root,
};

use crate::{
    control::Wish,
    data::DataDirectory,
    dependencies,
    manifest::Manifest,
    result::read_manifest,
    scan::{Earlier, Found, Scan},
    selection::{Selection, SelectionError},
};

#[derive(Debug, thiserror::Error)]
pub enum PreparationError {
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("the cache cannot be opened")]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Listing(#[from] ListingError),
    #[error("the folder cannot be opened")]
    Folder(#[source] std::io::Error),
    #[error("no file matches what --only names; hidden files and what .gitignore and .ignore name are left out")]
    NothingSelected,
}

/// A tree that was listed, and the files of it that are to be analysed.
#[derive(Debug)]
pub struct Prepared {
    pub scan: Scan,
    pub files: Vec<ListedFile>,
}

/// What a ledger says that listing a tree for the nodes of a fleet needs.
#[derive(Debug)]
pub struct Known {
    /// The last result of each project.
    results: Vec<Digest>,
    /// Packs that nodes have.
    held: HashSet<Digest>,
    /// The contents that unfinished jobs of this project have sparks for, by what they were listed in.
    begun: HashMap<Digest, HashSet<Digest>>,
}

impl Known {
    pub fn of(ledger: &Ledger, project: ProjectId) -> Known {
        let mut begun: HashMap<Digest, HashSet<Digest>> = HashMap::new();
        for job in ledger.jobs.values().filter(|job| !job.status.is_over() && job.spec.project == Some(project)) {
            begun.entry(job.spec.listing).or_default().extend(job.files.iter().filter_map(|file| file.content));
        }
        let results = ledger.projects.values().filter_map(|project| project.history.last()).map(|last| last.manifest).collect();
        Known { results, held: ledger.holders.keys().copied().collect(), begun }
    }
}

/// Lists the tree of a wish. For a fleet files are named by their contents as well; without one they are read where they lie.
pub fn prepare(data: &DataDirectory, wish: &Wish, project: &Project, fleet: Option<&Known>, threads: usize, now: Time) -> Result<Prepared, PreparationError> {
    let root = folder(wish);
    let selection = (!wish.selection.is_empty()).then(|| Selection::new(root, &wish.selection)).transpose()?;
    let cache = Cache::open(data.root(), analysis::fingerprint())?;
    let nothing = HashSet::new();
    let held = fleet.map_or(&nothing, |fleet| &fleet.held);
    let latest = project.history.last().map(|last| last.manifest);
    let earlier = Earlier { base: base(data, wish, project), latest, packs: cache.packs(), held, trusted: wish.use_cache };
    let (mut scan, mut files) = Scan::take(root, threads, &wish.limits, earlier, selection.as_ref(), now)?;
    if selection.as_ref().is_some_and(|selection| !scan.holds_any(selection)) {
        return Err(PreparationError::NothingSelected);
    }
    if let Some(fleet) = fleet {
        let found = match wish.use_cache && !files.is_empty() {
            true => Found::among(&cache, fleet.results.iter().filter_map(|name| read_manifest(data, *name).ok()).collect(), &fleet.held, &fleet.begun),
            false => Found::nothing(&cache, &fleet.begun),
        };
        let folder = Root::open(root).map_err(PreparationError::Folder)?;
        files = scan.name_contents(&folder, files, threads, &wish.limits, &found);
    }
    if wish.partitioning == Partitioning::ByDependencies {
        dependencies::cluster(data, project, &mut files);
    }
    Ok(Prepared { scan, files })
}

/// What the job is to do.
pub fn spec(wish: Wish, project: ProjectId, scan: &Scan) -> JobSpec {
    JobSpec {
        project: Some(project),
        job_type: wish.job_type,
        priority: wish.priority,
        partitioning: wish.partitioning,
        placement: wish.placement,
        fingerprint: analysis::fingerprint(),
        limits: wish.limits,
        use_cache: wish.use_cache,
        base: scan.base(),
        listing: scan.listing,
        timeout: wish.timeout,
        selection: wish.selection,
        after: wish.after,
        command: None,
        nodes: wish.nodes,
        by: Requester::Fleet,
    }
}

/// What led to a job about this folder.
pub fn wish(spec: JobSpec, root: Vec<u8>) -> Wish {
    Wish {
        root,
        job_type: spec.job_type,
        priority: spec.priority,
        partitioning: spec.partitioning,
        placement: spec.placement,
        limits: spec.limits,
        use_cache: spec.use_cache,
        timeout: spec.timeout,
        selection: spec.selection,
        after: spec.after,
        nodes: spec.nodes,
    }
}

pub fn folder(wish: &Wish) -> &Path {
    Path::new(OsStr::from_bytes(&wish.root))
}

/// The last result, where its engine is this one and somebody asks what it says. One that cannot be read costs a computation.
fn base(data: &DataDirectory, wish: &Wish, project: &Project) -> Option<(Digest, Manifest)> {
    let last = project.history.last().filter(|_| wish.use_cache || !wish.selection.is_empty())?;
    let manifest = read_manifest(data, last.manifest).ok()?;
    (manifest.fingerprint() == analysis::fingerprint()).then_some((last.manifest, manifest))
}
