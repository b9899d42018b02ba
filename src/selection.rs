//! Which files of a tree a partial analysis is about: paths and globs, as a person gives them.

use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Paths below a project's folder.
#[derive(Clone, Debug)]
pub struct Selection {
    globs: GlobSet,
}

/// A pattern that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is no glob")]
pub struct SelectionError {
    pattern: String,
    source: globset::Error,
}

impl Selection {
    /// Each pattern is a file, a folder with everything in it, or a glob in which `*` stays within a folder and `**` does not.
    pub fn new(patterns: &[String]) -> Result<Selection, SelectionError> {
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            let inside = pattern.trim_start_matches("./").trim_end_matches('/');
            let refuse = |source| SelectionError { pattern: pattern.clone(), source };
            for pattern in [inside.to_owned(), format!("{inside}/**")] {
                globs.add(GlobBuilder::new(&pattern).literal_separator(true).build().map_err(refuse)?);
            }
        }
        let refuse = |source| SelectionError { pattern: patterns.join(" "), source };
        Ok(Selection { globs: globs.build().map_err(refuse)? })
    }

    pub fn includes(&self, path: &[u8]) -> bool {
        self.globs.is_match(std::ffi::OsStr::from_bytes(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_selects_what_is_in_it_and_a_star_stays_within_one() {
        let selection = Selection::new(&["./src/core/".into(), "docs/*.md".into(), "**/main.rs".into()]).unwrap();
        for (path, selected) in [
            ("src/core/lib.rs", true),
            ("src/core/fleet/jobs.rs", true),
            ("src/cored.rs", false),
            ("docs/metrics.md", true),
            ("docs/deep/metrics.md", false),
            ("main.rs", true),
            ("a/b/main.rs", true),
        ] {
            assert_eq!(selection.includes(path.as_bytes()), selected, "{path}");
        }
        assert!(Selection::new(&["a[".into()]).is_err());
    }
}
