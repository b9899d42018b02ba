//! Cutting a job into sparks. Every strategy is a pure function of the listing; none parses anything.
//!
//! A cut is deterministic, covers each file once, and leaves no spark empty. Sparks come out with the costliest first,
//! so that the last one to finish is a small one (Graham's LPT rule, 1969).

use alloc::{collections::BTreeMap, vec::Vec};

use serde::{Deserialize, Serialize};

use super::ListedFile;
use crate::wire::task::SPARK_FILES_MAX;

/// The closed list of strategies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partitioning {
    /// The same number of files in each.
    ByFileCount,
    /// One language in each.
    ByLanguage,
    /// The same complexity in each, by the previous result; by size where there is none.
    ByComplexity,
    /// Files that import one another together, by the previous result; by folder where there is none.
    ByDependencies,
    /// Neighbours together, the same expected time in each: by size, and by the complexity in the previous result.
    #[default]
    Intelligent,
}

impl Partitioning {
    pub const ALL: [Partitioning; 5] =
        [Partitioning::ByFileCount, Partitioning::ByLanguage, Partitioning::ByComplexity, Partitioning::ByDependencies, Partitioning::Intelligent];

    pub const fn name(self) -> &'static str {
        match self {
            Partitioning::ByFileCount => "by-file-count",
            Partitioning::ByLanguage => "by-language",
            Partitioning::ByComplexity => "by-complexity",
            Partitioning::ByDependencies => "by-dependencies",
            Partitioning::Intelligent => "intelligent",
        }
    }
}

/// Sparks per slot that a job is cut into when it is large enough: what is lost to a kill, and the idle tail, stay small.
const SPARKS_PER_SLOT: u64 = 16;
/// Bytes below which a spark is not worth its journal records: about 20 ms of parsing.
const SPARK_BYTES_MIN: u64 = 256 << 10;
/// Bytes above which a spark takes too long to be repeated: about half a second of parsing.
const SPARK_BYTES_MAX: u64 = 4 << 20;
/// Bytes of paths in one spark. What a task says besides of so many files is half a megabyte, and its frame holds four.
const SPARK_PATH_BYTES_MAX: usize = 2 << 20;
/// Bytes of files in one spark of several, whatever the strategy counts by: bounds the pack and the names in its result.
const SPARK_CONTENT_BYTES_MAX: u64 = 2 * SPARK_BYTES_MAX;
/// What opening and keeping a file costs, in bytes of parsing.
const FILE_COST: u64 = 1024;
/// What a decision in the code counts as, in bytes of parsing: about as much as there is of source for each.
const DECISION_COST: u64 = 64;

/// Cuts `files` for a fleet of `slots`. Each spark is a list of positions, ascending.
pub fn cut(strategy: Partitioning, files: &[ListedFile], slots: u32) -> Vec<Vec<u32>> {
    let cost: fn(&ListedFile) -> u64 = match strategy {
        Partitioning::ByFileCount => |_| 1,
        Partitioning::ByComplexity => |file| FILE_COST + complexity_cost(file),
        Partitioning::ByLanguage | Partitioning::ByDependencies => |file| FILE_COST + file.size,
        // Every byte is parsed, and what is found among them is measured.
        Partitioning::Intelligent => |file| FILE_COST + u64::midpoint(file.size, complexity_cost(file)),
    };
    let mut order: Vec<u32> = (0..files.len() as u32).collect();
    match strategy {
        Partitioning::ByLanguage => order.sort_by_key(|&i| &files[i as usize].language),
        Partitioning::ByDependencies => order.sort_by_key(|&i| neighbourhood(&files[i as usize])),
        Partitioning::ByFileCount | Partitioning::ByComplexity | Partitioning::Intelligent => {}
    }
    let boundary = |before: &ListedFile, after: &ListedFile| strategy == Partitioning::ByLanguage && before.language != after.language;
    let target = target_cost(files, cost, slots);
    let mut sparks = slice(files, &order, cost, target, boundary);
    let spark_cost = |spark: &Vec<u32>| spark.iter().map(|&i| cost(&files[i as usize])).sum::<u64>();
    sparks.sort_by_cached_key(|spark| core::cmp::Reverse(spark_cost(spark)));
    sparks
}

/// By what the previous result found in the file, or by its size where it found nothing.
fn complexity_cost(file: &ListedFile) -> u64 {
    if file.complexity > 0 { DECISION_COST * u64::from(file.complexity) } else { file.size }
}

/// Clusters first, by number; files without one by folder.
fn neighbourhood(file: &ListedFile) -> (u32, &[u8]) {
    if file.cluster > 0 { (file.cluster, &[]) } else { (0, file.path.folder()) }
}

/// The cost of a spark, in the unit of `cost`: an even share of the whole between what is too little and too much work.
fn target_cost(files: &[ListedFile], cost: fn(&ListedFile) -> u64, slots: u32) -> u64 {
    let bytes: u64 = files.iter().map(|file| FILE_COST + file.size).sum();
    let whole: u64 = files.iter().map(cost).sum();
    let spark_bytes = (bytes / (u64::from(slots) * SPARKS_PER_SLOT)).clamp(SPARK_BYTES_MIN, SPARK_BYTES_MAX);
    let sparks = bytes.div_ceil(spark_bytes).max(1);
    whole.div_ceil(sparks).max(1)
}

/// What the files of one spark come to.
#[derive(Default)]
struct Filling {
    cost: u64,
    files: usize,
    path_bytes: usize,
    content_bytes: u64,
}

impl Filling {
    fn add(&mut self, file: &ListedFile, cost: u64) {
        self.cost += cost;
        self.files += 1;
        self.path_bytes += file.path.as_bytes().len();
        self.content_bytes += file.size;
    }

    /// Is there room for one more, by what is worth it and by what a message may weigh?
    fn takes(&self, file: &ListedFile, cost: u64, target: u64) -> bool {
        self.cost + cost / 2 <= target
            && self.files < SPARK_FILES_MAX
            && self.path_bytes + file.path.as_bytes().len() <= SPARK_PATH_BYTES_MAX
            && self.content_bytes + file.size <= SPARK_CONTENT_BYTES_MAX
    }
}

/// Fills sparks in the given order up to the target.
fn slice(files: &[ListedFile], order: &[u32], cost: fn(&ListedFile) -> u64, target: u64, boundary: impl Fn(&ListedFile, &ListedFile) -> bool) -> Vec<Vec<u32>> {
    let mut sparks: Vec<Vec<u32>> = Vec::new();
    let mut filling = Filling::default();
    for &index in order {
        let file = &files[index as usize];
        let last = sparks.last_mut().filter(|spark| {
            let before = spark.last().expect("no spark is empty");
            filling.takes(file, cost(file), target) && !boundary(&files[*before as usize], file)
        });
        match last {
            Some(spark) => spark.push(index),
            None => {
                sparks.push(alloc::vec![index]);
                filling = Filling::default();
            }
        }
        filling.add(file, cost(file));
    }
    sparks.iter_mut().for_each(|spark| spark.sort_unstable());
    sparks
}

/// Groups of files that are connected by links, numbered from 1 in the order of their first file; files without a link have 0.
pub fn clusters(files: u32, links: &[(u32, u32)]) -> Vec<u32> {
    let mut parent: Vec<u32> = (0..files).collect();
    for &(a, b) in links {
        let (a, b) = (root(&mut parent, a), root(&mut parent, b));
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        parent[high as usize] = low;
    }
    let mut linked: BTreeMap<u32, u32> = BTreeMap::new();
    for &(a, _) in links {
        linked.insert(root(&mut parent, a), 0);
    }
    (1..).zip(linked.values_mut()).for_each(|(number, slot)| *slot = number);
    (0..files).map(|file| linked.get(&root(&mut parent, file)).copied().unwrap_or(0)).collect()
}

/// Union-find with path halving; each step shortens the path, so the loop ends.
fn root(parent: &mut [u32], mut file: u32) -> u32 {
    while parent[file as usize] != file {
        parent[file as usize] = parent[parent[file as usize] as usize];
        file = parent[file as usize];
    }
    file
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;
    use crate::paths::{PATH_BYTES_MAX, RelativePath};

    fn listing(count: u32) -> Vec<ListedFile> {
        let file = |i: u32| ListedFile {
            path: RelativePath::new(format!("d{}/f{i}", i % 7).into()).unwrap(),
            size: u64::from(i * 7919 % 100_000),
            language: if i.is_multiple_of(3) { "c" } else { "go" }.into(),
            complexity: i % 50,
            cluster: i % 4,
            content: None,
            is_disputed: false,
        };
        (0..count).map(file).collect()
    }

    #[test]
    fn every_strategy_covers_each_file_once() {
        let files = listing(2_000);
        for strategy in Partitioning::ALL {
            let sparks = cut(strategy, &files, 4);
            let mut seen: Vec<u32> = sparks.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..2_000).collect::<Vec<_>>(), "{}", strategy.name());
            assert!(sparks.iter().all(|spark| !spark.is_empty()));
            assert!(sparks.len() > 16, "{} cuts {}", strategy.name(), sparks.len());
            assert_eq!(sparks, cut(strategy, &files, 4));
        }
        assert!(cut(Partitioning::Intelligent, &[], 4).is_empty());
    }

    #[test]
    fn by_language_mixes_no_languages() {
        let files = listing(500);
        for spark in cut(Partitioning::ByLanguage, &files, 2) {
            let first = &files[spark[0] as usize].language;
            assert!(spark.iter().all(|&i| &files[i as usize].language == first));
        }
    }

    #[test]
    fn what_was_found_to_be_complex_has_fewer_neighbours() {
        // As large as one another, and a half of them dense: what they come to by their size and their decisions is even.
        let files: Vec<ListedFile> = listing(4_000).into_iter().map(|file| ListedFile { size: 20_000, complexity: 0, ..file }).collect();
        let dense = |number: usize| number < 2_000;
        let measured: Vec<ListedFile> =
            (0..).zip(&files).map(|(number, file)| ListedFile { complexity: if dense(number) { 1_500 } else { 100 }, ..file.clone() }).collect();
        let mean = |sparks: &[Vec<u32>], of: bool| {
            let kind: Vec<usize> = sparks.iter().filter(|spark| spark.iter().all(|&file| dense(file as usize) == of)).map(Vec::len).collect();
            kind.iter().sum::<usize>() / kind.len()
        };
        let (first, second) = (cut(Partitioning::Intelligent, &files, 2), cut(Partitioning::Intelligent, &measured, 2));
        assert!(mean(&first, true).abs_diff(mean(&first, false)) <= 1, "nothing is known of them");
        assert!(mean(&second, true) * 3 < mean(&second, false), "{} and {}", mean(&second, true), mean(&second, false));
        assert!(second.iter().all(|spark| spark.windows(2).all(|pair| pair[1] == pair[0] + 1)), "neighbours are together");
    }

    #[test]
    fn by_file_count_is_even() {
        let files = listing(3_000);
        let sizes: Vec<usize> = cut(Partitioning::ByFileCount, &files, 2).iter().map(Vec::len).collect();
        assert!(sizes[0] <= sizes[sizes.len() - 1] * 2 || sizes[sizes.len() - 2] == sizes[0], "{sizes:?}");
    }

    #[test]
    fn no_spark_outgrows_its_messages() {
        // Whole folders of the longest paths there are, and of large files among many that are empty.
        let path = |i: u32| [alloc::vec![b'p'; PATH_BYTES_MAX - 8], format!("{i:08}").into()].concat();
        let file = |i: u32, size| ListedFile {
            path: RelativePath::new(path(i)).unwrap(),
            size,
            language: "c".into(),
            complexity: 0,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let files: Vec<ListedFile> = (0..3_000).map(|i| file(i, if i < 40 { 5 << 20 } else { 0 })).collect();
        for strategy in Partitioning::ALL {
            let sparks = cut(strategy, &files, 1);
            for spark in sparks.iter().filter(|spark| spark.len() > 1) {
                let sum = |of: fn(&ListedFile) -> u64| spark.iter().map(|&i| of(&files[i as usize])).sum::<u64>();
                assert!(sum(|file| file.path.as_bytes().len() as u64) <= SPARK_PATH_BYTES_MAX as u64, "{}", strategy.name());
                assert!(sum(|file| file.size) <= SPARK_CONTENT_BYTES_MAX, "{}", strategy.name());
            }
            assert_eq!(sparks.iter().map(Vec::len).sum::<usize>(), files.len());
        }
    }

    #[test]
    fn linked_files_share_a_cluster() {
        assert_eq!(clusters(6, &[(4, 1), (1, 5), (2, 3)]), vec![0, 1, 2, 2, 1, 1]);
        assert_eq!(clusters(2, &[]), vec![0, 0]);
    }
}
