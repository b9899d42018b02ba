//! Which files import one another, as far as the last result tells: for planning alone, so a guess costs nothing but speed.
//!
//! An import names a file when exactly one path ends like it: `a.b.c`, `a::b::c` and `"a/b/c.h"` are all read as `a/b/c`.

use std::collections::HashMap;

use bitacora_core::fleet::{ListedFile, Project, partition};

use crate::{data::DataDirectory, result::StoredResult};

/// Words of an import that are compared with the end of a path.
const WORDS_MAX: usize = 3;

/// Gives files that import one another, directly or through others, the same number.
pub fn cluster(data: &DataDirectory, project: &Project, files: &mut [ListedFile]) {
    let places = by_ending(files);
    let index: HashMap<Vec<u8>, u32> = (0..).zip(files.iter()).map(|(number, file)| (file.path.as_bytes().to_vec(), number)).collect();
    let mut links = Vec::new();
    let Ok(mut result) = StoredResult::last(data, project) else { return };
    // A result that cannot be read says nothing; folders stand in.
    let Ok(wanted) = result.files(|path| index.contains_key(path)) else { return };
    let read = result.each(wanted, |path, record| {
        let from = index[path.as_bytes()];
        links.extend(record.imports.iter().filter_map(|target| resolve(&places, target)).map(|to| (from, to)));
        Ok(())
    });
    if read.is_ok_and(|lost| lost.is_empty()) {
        let clusters = partition::clusters(files.len() as u32, &links);
        files.iter_mut().zip(clusters).for_each(|(file, cluster)| file.cluster = cluster);
    }
}

/// Files by the ends of their paths without extension; `None` where two files end alike.
fn by_ending(files: &[ListedFile]) -> HashMap<String, Option<u32>> {
    let mut places = HashMap::new();
    for (number, file) in (0..).zip(files) {
        let path = file.path.to_text();
        let stem = path.rsplit_once('.').map_or(path.as_str(), |(stem, _)| stem);
        for ending in endings(&stem.split('/').collect::<Vec<_>>()) {
            places.entry(ending).and_modify(|place| *place = None).or_insert(Some(number));
        }
    }
    places
}

fn endings(words: &[&str]) -> Vec<String> {
    (1..=words.len().min(WORDS_MAX)).map(|count| words[words.len() - count..].join("/")).collect()
}

/// The longest ending that names one file.
fn resolve(places: &HashMap<String, Option<u32>>, target: &str) -> Option<u32> {
    let target = target.trim_matches(['"', '<', '>', '.']);
    let bare = target.strip_suffix(".h").or(target.strip_suffix(".hpp")).unwrap_or(target);
    let words: Vec<&str> = bare.split(['.', '/', ':', '\\']).filter(|word| !word.is_empty()).collect();
    endings(&words).iter().rev().find_map(|ending| places.get(ending).copied().flatten())
}

#[cfg(test)]
mod tests {
    use bitacora_core::paths::RelativePath;

    use super::*;

    #[test]
    fn imports_name_the_one_file_that_ends_like_them() {
        let file = |path: &str| ListedFile {
            path: RelativePath::new(path.into()).unwrap(),
            size: 1,
            language: "python".into(),
            complexity: 0,
            cluster: 0,
            content: None,
            is_disputed: false,
        };
        let places = by_ending(&[file("src/a/b.py"), file("src/c/b.py"), file("include/x.h")]);
        assert_eq!(resolve(&places, "a.b"), Some(0));
        assert_eq!(resolve(&places, "src.c.b"), Some(1));
        assert_eq!(resolve(&places, "b"), None, "two files end like this");
        assert_eq!(resolve(&places, "\"x.h\""), Some(2));
    }
}
